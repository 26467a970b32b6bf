"""Every third-party library that a room declares is pinned for everybody."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted([*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml")])

pytestmark = pytest.mark.requirement("HOUSE-1", "CC-3.4")


def distribution(requirement: str) -> str:
    """The normalised name in a requirement, e.g. `ruamel-yaml` of `ruamel.yaml>=0.18`."""
    name = re.split(r"[\s\[<>=!~;]", requirement.strip(), maxsplit=1)[0]
    return re.sub(r"[-_.]+", "-", name).lower()


def project(path: Path) -> dict[str, object]:
    content: dict[str, object] = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    return content


def listed() -> set[str]:
    lines = (ROOT / "requirements" / "development.in").read_text(encoding="utf-8").splitlines()
    return {distribution(line) for line in lines if line.strip() and not line.startswith("#")}


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.parent.name)
def test_what_a_room_needs_is_in_the_development_requirements(path: Path) -> None:
    declared = project(path)
    needs = declared.get("dependencies", [])
    extras = declared.get("optional-dependencies", {})
    assert isinstance(needs, list)
    assert isinstance(extras, dict)
    third_party = {distribution(need) for need in [*needs, *(need for extra in extras.values() for need in extra)]}
    rooms = {distribution(str(project(room)["name"])) for room in ROOMS}
    assert third_party - rooms - listed() == set()


def test_the_lock_has_no_index_address() -> None:
    for lock in (ROOT / "requirements").rglob("*.lock"):
        text = lock.read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://", text), f"{lock.name} names an address"
