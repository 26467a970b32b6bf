"""What each image installs: `python -m tools.image_requirements` writes `requirements/images/<image>.lock`.

Each file is a part of `requirements/development.lock`, with its pins and hashes: what the image's rooms name in their
`pyproject.toml`, and what that needs in turn, read from the lock's own `# via` remarks. `build.lock` holds what makes a
room's wheel and the list of what is in an image. Rooms stand in no lock: other projects publish packages under the same
names.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "development.lock"
FOLDER = ROOT / "requirements" / "images"
HEADER = "# Part of ../development.lock; renewed by `python -m tools.image_requirements`.\n"

ROOMS: Mapping[str, tuple[str, ...]] = {
    "sidecar": ("sidecar",),
    # The webhook asks the two backends' plugins; the sidecar lends it the names of its variables.
    "webhook": ("core", "certs", "sidecar", "webhook", "plugins/floe-telemetry-*", "plugins/floe-lineage-*"),
    "monitor": (
        "core",
        "monitor",
        "plugins/floe-alert-*",
        "plugins/floe-catalog-*",
        "plugins/floe-compute-*",
        "plugins/floe-lineage-*",
        "plugins/floe-quality-*",
    ),
}
"""The rooms in each image, as folders of this tree."""

BUILD_TOOLS = ("cyclonedx-bom", "hatchling")


class LockError(Exception):
    """The lock lacks what a room needs; the message says which and what to do."""


def main() -> None:
    """Writes every file."""
    FOLDER.mkdir(exist_ok=True)
    for image, text in image_locks().items():
        (FOLDER / f"{image}.lock").write_text(text, encoding="utf-8")


def image_locks() -> dict[str, str]:
    """Each file's name without its ending, and its text."""
    lock = LOCK.read_text(encoding="utf-8")
    needed = {image: {name for room in rooms_of(image) for name in _dependencies(room)} for image in ROOMS}
    needed["build"] = set(BUILD_TOOLS)
    return {image: HEADER + part_of(lock, names) for image, names in needed.items()}


def rooms_of(image: str) -> list[Path]:
    """The folders of the distributions that an image holds."""
    return sorted(folder for pattern in ROOMS[image] for folder in ROOT.glob(pattern) if folder.is_dir())


def part_of(lock: str, names: Iterable[str]) -> str:
    """The lock's entries for some distributions and for everything that they need.

    Raises:
        LockError: A distribution is not in the lock.
    """
    entries = _entries(lock)
    parents = {name: _parents(entry) for name, entry in entries.items()}
    taken = set(names)
    if missing := taken - entries.keys():
        raise LockError(
            f"{', '.join(sorted(missing))}: not in requirements/development.lock; add it to development.in, `make lock`"
        )
    while more := {name for name in entries.keys() - taken if parents[name] & taken}:
        taken |= more
    return "".join(entry for name, entry in entries.items() if name in taken)


def _entries(lock: str) -> dict[str, str]:
    """Each distribution's lines, by its name; one that has several versions, by marker, has the lines of each."""
    entries: dict[str, str] = {}
    for entry in re.findall(r"^[A-Za-z0-9].*\n(?:[ \t].*\n)*", lock, re.MULTILINE):
        entries[_name(entry)] = entries.get(_name(entry), "") + entry
    return entries


def _parents(entry: str) -> set[str]:
    """What an entry's `# via` says that it is needed by; an input file (`-r …`) is no distribution."""
    remarks = " ".join(line for line in entry.splitlines() if line.lstrip().startswith("#"))
    return {word for word in re.findall(r"[^\s#]+", remarks) if re.fullmatch(r"[a-z0-9-]+", word)} - {"-r", "via"}


def _dependencies(room: Path) -> set[str]:
    project = tomllib.loads((room / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {name for line in project.get("dependencies", []) if not (name := _name(line)).startswith("floe-")}


def _name(requirement: str) -> str:
    """The distribution's name, as indexes compare it (PEP 503)."""
    written = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", written[0]).lower() if written else ""


if __name__ == "__main__":
    main()
