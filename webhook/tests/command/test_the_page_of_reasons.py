"""docs/reasons.md says what the code says."""

from pathlib import Path

import pytest

from floe_webhook.reference import reasons_page

PAGE = Path(__file__).parents[3] / "docs" / "reasons.md"


@pytest.mark.requirement("HOUSE-2", "HOUSE-12")
def test_the_page_of_reasons_is_the_enumerations() -> None:
    assert PAGE.read_text(encoding="utf-8") == reasons_page(), "run `make docs`"
