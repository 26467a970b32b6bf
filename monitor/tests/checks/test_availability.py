"""Uptime within the last 24 hours, weighted by time."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_monitor.checks.availability import (
    WINDOW,
    AvailabilityCheck,
    AvailabilityFacts,
    Ping,
    UptimeHistory,
)
from floe_monitor.checks.model import CheckStatus, Rules, Verdict
from monitor.tests.builders import HOUR, MINUTE, NOW, contract

pytestmark = pytest.mark.requirement("FR-019", "FR-020", "FR-021")
FIVE = 5 * MINUTE


def history(states: str, *, step: timedelta = FIVE, end: datetime = NOW) -> UptimeHistory:
    """Pings that end now: `u` up, `d` down, `-` nobody looked."""
    known = UptimeHistory()
    begin = end - step * (len(states) - 1)
    for index, state in enumerate(states):
        if state != "-":
            ping = Ping(begin + step * index, state == "u", "" if state == "u" else "refused")
            known = known.with_ping(ping, holds_for=2.5 * step)
    return known


def judge(states: str, *, promised: float = 0.999, rules: Rules | None = None) -> Verdict:
    known = history(states)
    ping = Ping(NOW, states[-1] == "u", "" if states[-1] == "u" else "refused")
    facts = AvailabilityFacts(ping, known)
    return AvailabilityCheck().judge(contract(availability=promised), facts, rules or Rules())


def test_a_state_lasts_until_the_next_observation() -> None:
    assert history("uud").ratio(NOW) == 1.0
    assert history("uudd").ratio(NOW) == pytest.approx(2 / 3)
    assert history("uuddu").ratio(NOW) == pytest.approx(0.5)


def test_time_that_nobody_observed_counts_neither_way() -> None:
    known = history("uu--------uu")
    assert known.ratio(NOW) == 1.0
    assert known.observed(NOW) == 2 * FIVE


def test_one_missed_tick_is_bridged() -> None:
    assert history("u-u").observed(NOW) == 2 * FIVE


def test_only_the_last_24_hours_count() -> None:
    known = history("d" * 12 + "u" * 400)
    assert known.ratio(NOW) == 1.0
    assert known.observed(NOW) == WINDOW


def test_a_year_of_pings_of_one_state_is_one_span() -> None:
    assert len(history("u" * 5000).spans) == 1


def test_a_clock_that_was_set_back_changes_nothing() -> None:
    known = history("uu")
    assert known.with_ping(Ping(NOW - HOUR, up=False), holds_for=FIVE) == known


def test_failures_in_a_row_are_counted_until_the_source_answers() -> None:
    assert history("uddd").failures == 3
    assert history("udddu").failures == 0
    assert history("udddu").last_failure == Ping(NOW - FIVE, up=False, reason="refused")


@pytest.mark.parametrize(
    ("states", "status", "severity", "ongoing"),
    [
        pytest.param("uuuu", "pass", None, None, id="up"),
        pytest.param("u", "pass", None, None, id="the first ping"),
        pytest.param("d", "fail", "warning", True, id="down, nothing known of the window"),
        pytest.param("uuud", "fail", "warning", True, id="down, the promise still holds"),
        pytest.param("uuddd", "fail", "error", True, id="down, the promise is broken"),
        pytest.param("uudddu", "fail", "error", False, id="up again, the promise stays broken for a day"),
    ],
)
def test_the_source_and_the_window_decide(states: str, status: str, severity: str | None, ongoing: bool | None) -> None:
    verdict = judge(states)
    found = verdict.findings[0] if verdict.findings else None
    assert verdict.status == status
    assert (found.severity if found else None) == severity
    assert (found.ongoing if found else None) == ongoing


def test_most_of_the_allowed_downtime_used_is_a_warning_that_nobody_has_to_wait_for() -> None:
    # 10 min down of 23 h 55 min observed are 0.697 %; 0.75 % are allowed.
    verdict = judge("u" * 200 + "dd" + "u" * 86, promised=0.9925)
    assert verdict.status is CheckStatus.PASS
    assert verdict.findings[0].severity == "warning"


def test_no_downtime_at_all_may_be_promised() -> None:
    assert judge("uuu", promised=1.0).status is CheckStatus.PASS
    assert judge("uudu", promised=1.0).findings[0].severity == "error"


def test_the_reason_and_the_streak_are_reported() -> None:
    verdict = judge("uddd")
    assert verdict.details["consecutive_failures"] == 3
    assert verdict.details["failure_reason"] == "refused"
    assert "cannot be reached (refused)" in verdict.findings[0].message


@given(states=st.text(alphabet="ud-", min_size=1, max_size=60).filter(lambda text: text[-1] != "-"))
def test_the_ratio_equals_an_independent_count_of_minutes(states: str) -> None:
    """Each minute belongs to the last state seen, unless nobody looked for more than two and a half steps."""
    up = down = 0
    seen: tuple[int, str] | None = None
    for index, state in enumerate(states):
        if state == "-":
            continue
        if seen is not None and index - seen[0] <= 2:
            up += (index - seen[0]) * (seen[1] == "u")
            down += (index - seen[0]) * (seen[1] == "d")
        seen = (index, state)
    ratio = history(states).ratio(NOW)
    assert ratio == (pytest.approx(up / (up + down)) if up + down else None)
