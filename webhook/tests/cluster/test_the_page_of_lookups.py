"""docs/lookups.md says of each lookup what the program does, and of nothing else."""

from pathlib import Path

import pytest

from floe_webhook.cluster.surroundings import MOST_NAMESPACES, MOST_OBJECTS, MOST_OWNERS, MOST_SOURCES
from floe_webhook.lookups import Lookup, LookupSettings

pytestmark = pytest.mark.requirement("HOUSE-12")

PAGE = (Path(__file__).parents[3] / "docs" / "lookups.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| ")]


def test_each_lookup_is_explained_in_the_programs_words() -> None:
    told = [row for row in ROWS if len(row) == 4 and row[0] != "`--lookup`"]
    assert told == [[f"`{one}`", one.purpose, "; ".join(one.rights), one.assumed] for one in Lookup]


def test_the_times_and_bounds_that_are_told_are_the_programs() -> None:
    settings = LookupSettings()
    told = {row[0]: row[1:] for row in ROWS if len(row) == 3}
    assert told["that a namespace has no quota"] == [
        f"{settings.quotas_seconds:g} s",
        f"{MOST_NAMESPACES:,} namespaces".replace(",", " "),
    ]
    assert told["what its quotas have left"][0] == f"{settings.quotas_left_seconds:g} s"
    assert told["keys of a ConfigMap or Secret"] == [
        f"{settings.keys_seconds:g} s",
        f"{MOST_OBJECTS:,} objects for each purpose".replace(",", " "),
    ]
    assert told["an owner"] == [f"{settings.owners_seconds / 60:g} min", f"{MOST_OWNERS:,} owners".replace(",", " ")]
    assert f"{settings.budget_seconds * 1000:g} ms" in PAGE
    assert f"may have {MOST_SOURCES} ConfigMaps" in PAGE
