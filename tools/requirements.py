"""Which tests prove which requirement: the marks of collected tests against the list in `docs/requirements.toml`."""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "docs" / "requirements.toml"
PAGE = ROOT / "docs" / "requirements.md"

MODULES_BY_REQUIREMENT = pytest.StashKey[dict[str, set[str]]]()
"""Each requirement's test modules, as the whole suite names them; absent where only a part was collected."""


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """Ids that a test's marks name, on the function, its class or its module."""
    return tuple(str(requirement) for mark in item.iter_markers("requirement") for requirement in mark.args)


def known_requirements() -> dict[str, str]:
    """Every id with what it asks, in the order of the list."""
    sections = tomllib.loads(REQUIREMENTS.read_text(encoding="utf-8"))
    return {requirement: title for section in sections.values() for requirement, title in section.items()}


def is_whole_suite(config: pytest.Config) -> bool:
    """Whether pytest was started on all test paths, alone or as a worker of xdist."""
    everything = {path.resolve() for pattern in config.getini("testpaths") for path in ROOT.glob(pattern)}
    return {Path(config.invocation_params.dir, argument).resolve() for argument in config.args} == everything


def requirements_page(known: Mapping[str, str], modules: Mapping[str, Iterable[str]]) -> str:
    """The page in Markdown: modules, not tests, so that it changes rarely."""
    lines = [
        "# Requirements and their tests",
        "",
        "Made by `make docs` from the tests' marks (`@pytest.mark.requirement`); a test keeps it true.",
        "A requirement without tests is open.",
        "",
        "| requirement | what it asks | tested in |",
        "|---|---|---|",
    ]
    for requirement, title in known.items():
        tested = "<br>".join(f"`{module}`" for module in sorted(modules.get(requirement, ()))) or "open"
        lines.append(f"| {requirement} | {title} | {tested} |")
    return "\n".join(lines) + "\n"
