"""Lines for the person at the terminal."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.checks.model import CheckStatus, Outcome
from floe_monitor.service.reporter import Reporter, line
from monitor.tests.builders import check_run, outcome

pytestmark = pytest.mark.requirement("FR-001")


def test_a_state_is_told_when_it_is_first_known_and_when_it_changes() -> None:
    written = io.StringIO()
    reporter = Reporter(Console(file=written, width=200))
    for found in (outcome(), outcome(), outcome("error"), outcome("error"), outcome()):
        reporter(check_run(found))
    assert [text.split()[2] for text in written.getvalue().splitlines()] == ["pass", "fail", "pass"]


def test_a_line_says_what_was_measured_and_what_is_promised() -> None:
    assert line(check_run()).plain == (
        "12:00:00  ● pass    sales.shop/orders:1.0.0  freshness  orders.updated_at: 60 s old, 7200 s promised"
    )


def test_a_line_says_why_there_is_no_clear_answer() -> None:
    found = Outcome(CheckStatus.UNKNOWN, "orders", reason="connection refused")
    assert line(check_run(found)).plain.endswith("freshness  connection refused")


def test_uptime_is_a_percentage() -> None:
    found = Outcome(CheckStatus.PASS, measure=0.99912, threshold=0.999)
    assert line(check_run(found, check=ViolationType.AVAILABILITY)).plain.endswith("availability  99.912% up")
    nothing_yet = Outcome(CheckStatus.PASS, threshold=0.999)
    assert line(check_run(nothing_yet, check=ViolationType.AVAILABILITY)).plain.endswith("The promise is kept.")


@pytest.mark.requirement("FR-016")
def test_quality_is_a_score_and_how_many_rules_hold() -> None:
    run = check_run(Outcome(CheckStatus.PASS, "orders: rowCount", measure=4.0), check=ViolationType.QUALITY)
    counted = {"quality_score": 75.0, "rules": [{"passed": True}, {"passed": False}]}
    told = replace(run, verdict=replace(run.verdict, details=counted))
    assert line(told).plain.endswith("quality  score 75.0: 1 of 2 rule(s) hold")
    assert line(run).plain.endswith("quality  The promise is kept.")
