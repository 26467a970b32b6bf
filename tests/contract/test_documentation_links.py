"""What the pages promise can be followed: links, anchors, paths of files, `make` targets and `floe` commands exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from floe_core.cli.main import floe

pytestmark = pytest.mark.requirement("HOUSE-1")

ROOT = Path(__file__).parents[2]
_HIDDEN = (".venv", "node_modules", "build", ".pytest_cache", ".hypothesis", "data")
PAGES = sorted(page for page in ROOT.rglob("*.md") if not any(part in _HIDDEN for part in page.relative_to(ROOT).parts))
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*$", re.MULTILINE)
_ROOMS = "core|certs|sidecar|webhook|monitor|plugins|charts|tests|examples|docs|tools|requirements"
_PATH = re.compile(rf"`((?:{_ROOMS})/[\w./-]*\.(?:py|md|yaml|yml|toml|json|sh|sql|in|lock))`")
_TARGET = re.compile(r"`make ([a-z0-9-]+)`|^\$ make ([a-z0-9-]+)", re.MULTILINE)
_COMMAND = re.compile(r"(?:^\$ |`)((?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?floe [^`\n]+)", re.MULTILINE)
_OPERATORS = {"|", ">", ">>", "<", "&&", ";", "2>"}

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> Iterator[str]:
    text = _INLINE_CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
    for link in _LINK.findall(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            yield f"{link} names nothing"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            yield f"{link} names no heading of {target.name}"


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page)) == []


@each_page
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = _PATH.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    missing = [path for path in named if not any((base / path).exists() for base in (ROOT, page.parent))]
    assert missing == []


@each_page
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    known = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {first or second for first, second in _TARGET.findall(page.read_text(encoding="utf-8"))}
    assert named - known == set()


def command_problem(words: list[str]) -> str | None:
    """Why `floe <words>` cannot be called, as far as its words and options tell."""
    command: click.Command = floe
    context = click.Context(floe)
    rest = list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(context, rest.pop(0))
        if found is None:
            return f"there is no command {' '.join(words)}"
        command = found
    options = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    unknown = [word for word in rest if word.startswith("--") and word.partition("=")[0] not in options]
    return f"{command.name} has no option {unknown}" if unknown else None


def called(line: str) -> list[str]:
    """The words after `floe` in a shell line, up to a pipe, a redirection or a comment."""
    words = shlex.split(line, comments=True)
    start = next(index for index, word in enumerate(words) if word.rpartition("/")[2] == "floe") + 1
    end = next((index for index, word in enumerate(words) if index > start and word in _OPERATORS), len(words))
    return words[start:end]


@each_page
def test_every_floe_command_that_a_page_shows_exists(page: Path) -> None:
    shown = _COMMAND.findall(page.read_text(encoding="utf-8"))
    problems = [problem for line in shown if (problem := command_problem(called(line.replace("…", ""))))]
    assert problems == []


def test_a_command_or_option_that_does_not_exist_is_found() -> None:
    assert command_problem(["plugins", "chek"]) is not None
    assert command_problem(["plugins", "list", "--fromat", "json"]) is not None
    assert command_problem(["plugins", "list", "--format=json"]) is None
    assert "README.md" in [page.name for page in PAGES]
