"""docs/webhook.md names every flag and every metric, and none that does not exist."""

import re
from pathlib import Path

import click
import pytest

from floe_webhook.__main__ import main
from floe_webhook.metrics import Metrics

pytestmark = pytest.mark.requirement("HOUSE-12", "HOUSE-8")

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "webhook.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[str]:
    """The first cells of a section's table."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]


def test_every_flag_is_explained() -> None:
    told = [flag for row in rows("Flags") for flag in re.findall(r"`(--[a-z-]+)`", row)]
    assert sorted(told) == sorted(parameter.opts[0] for parameter in main.params)


@pytest.mark.parametrize("parameter", main.params, ids=lambda parameter: parameter.opts[0])
def test_a_default_that_is_written_is_the_programs(parameter: click.Parameter) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| `--") and f"`{parameter.opts[0]}`" in line)
    told = row.split("|")[2].strip().strip("`")
    if isinstance(parameter.default, str | int | float):
        expected = f"{parameter.default:g}" if isinstance(parameter.default, float) else str(parameter.default)
        assert told == expected


def test_every_metric_is_explained_here_or_on_a_page_of_its_own() -> None:
    here = {name for row in rows("Metrics") for name in re.findall(r"`(\w+)`", row)}
    pages = " ".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    exposed = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in Metrics().registry.collect()
        if not family.name.startswith("process_")
    }
    assert here - exposed == set(), "those do not exist"
    assert {name for name in exposed if f"`{name}" not in pages} == set(), "those are explained nowhere"
