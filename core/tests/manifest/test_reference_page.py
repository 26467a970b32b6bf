"""docs/manifest.md is made from the models and says what every key means."""

from pathlib import Path

import pytest

from floe_core.manifest.reference import manifest_page

pytestmark = pytest.mark.requirement("HOUSE-8")

PAGE = Path(__file__).parents[3] / "docs" / "manifest.md"


def test_the_page_of_the_manifest_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == manifest_page(), "run `make docs`"


def test_every_key_of_the_manifest_says_what_it_means() -> None:
    rows = [line for line in manifest_page().splitlines() if line.startswith("| `") and line.count(" | ") == 3]
    unexplained = [row for row in rows if not row.removesuffix(" |").rpartition("| ")[2].strip()]
    assert rows
    assert unexplained == []
