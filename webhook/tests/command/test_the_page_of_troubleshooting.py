"""docs/troubleshooting.md has a section for every check and reason that the command prints, and for nothing else."""

import re
from pathlib import Path

import pytest

from floe_webhook.checks.results import Check
from floe_webhook.checks.running import BEFORE_INSTALL
from floe_webhook.reasons import Reason
from floe_webhook.reference import with_reasons

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "troubleshooting.md"

pytestmark = pytest.mark.requirement("HOUSE-2", "HOUSE-12")


def sections(title: str) -> list[str]:
    """The headings below a part of the page."""
    part = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"^### (.+)$", part, re.MULTILINE)


def test_every_check_has_its_section_and_no_other_is_there() -> None:
    found = [*sections("Checks of an installation"), *sections("Checks before an installation")]
    assert sorted(found) == sorted(check.value for check in Check)


def test_what_is_looked_at_before_an_installation_alone_stands_apart() -> None:
    only_before = {check.value for check in (*BEFORE_INSTALL, Check.CERT_MANAGER)} - set(
        sections("Checks of an installation")
    )
    assert set(sections("Checks before an installation")) == only_before


def test_no_section_is_empty() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^### (.+)\n\n(?=#|\Z)", text, re.MULTILINE) == []


def test_the_anchor_that_the_command_prints_is_a_heading_of_the_page() -> None:
    for check in Check:
        page, _, anchor = check.anchor.partition("#")
        assert f"\n### {anchor}\n" in (ROOT / page).read_text(encoding="utf-8")


def test_every_reason_stands_on_the_page_as_it_is_in_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_reasons(text), "run `make docs`"
    assert sections("Reasons") == [reason.value for reason in Reason]
