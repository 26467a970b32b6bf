"""docs/command.md says what the commands say."""

from pathlib import Path

import pytest

from floe_core.cli.reference import command_page

PAGE = Path(__file__).parents[3] / "docs" / "command.md"

pytestmark = pytest.mark.requirement("CC-4.4")


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == command_page(), "run `make docs`"


def test_every_flag_says_what_it_is_for() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `-")]
    assert rows
    assert [row for row in rows if row.rstrip("| ").endswith("`")] == []
