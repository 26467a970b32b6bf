"""The age of the newest row against the promise."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.plugin_interfaces.catalog import Snapshot
from floe_monitor.checks.freshness import FreshnessCheck, FreshnessFacts, NewestRow, last_data_change, show
from floe_monitor.checks.model import CheckStatus, Outcome, Rules
from monitor.tests.builders import HOUR, MINUTE, NOW, SECOND, contract

pytestmark = pytest.mark.requirement("FR-007", "FR-010")
ELEMENT = "orders.updated_at"


def judge(newest: datetime | None, *, time_zone: str | None = None, rules: Rules | None = None) -> Outcome:
    facts = FreshnessFacts((NewestRow(ELEMENT, observed_at=NOW, newest=newest),))
    return FreshnessCheck().judge(contract(time_zone=time_zone), facts, rules or Rules()).outcomes[0]


@pytest.mark.parametrize(
    ("age", "status", "severity"),
    [
        pytest.param(90 * MINUTE, "pass", None, id="1.5 h of 2 h is fresh"),
        pytest.param(96 * MINUTE, "pass", "info", id="80 % used is an early hint"),
        pytest.param(108 * MINUTE, "pass", "warning", id="90 % used is a warning"),
        pytest.param(120 * MINUTE, "pass", "warning", id="exactly 2 h is kept"),
        pytest.param(120 * MINUTE + SECOND, "fail", "error", id="a second more is a breach"),
        pytest.param(150 * MINUTE, "fail", "error", id="2.5 h of 2 h is a breach"),
    ],
)
def test_the_age_decides(age: timedelta, status: str, severity: str | None) -> None:
    found = judge(NOW - age)
    assert found.status == status
    assert (found.finding.severity if found.finding else None) == severity
    assert found.measure == age.total_seconds()


def test_a_breach_says_what_is_promised_and_what_is_there() -> None:
    found = judge(NOW - 150 * MINUTE).finding
    assert found is not None
    assert (found.element, found.expected, found.actual) == (ELEMENT, "at most 2 h", "2 h 30 min")
    assert found.message == "orders is stale: its newest row is 2 h 30 min old, at most 2 h is promised."


def test_the_fourth_episode_of_a_day_is_critical() -> None:
    found = judge(NOW - 3 * HOUR, rules=Rules(recent_episodes={ELEMENT: 4})).finding
    assert found is not None
    assert found.severity == "critical"


@pytest.mark.parametrize("ahead", [timedelta(), 59 * SECOND, 60 * SECOND])
def test_a_timestamp_up_to_a_minute_ahead_is_a_difference_of_clocks(ahead: timedelta) -> None:
    found = judge(NOW + ahead)
    assert (found.status, found.finding, found.measure) == (CheckStatus.PASS, None, 0.0)


def test_a_timestamp_further_ahead_is_reported_and_never_fresh() -> None:
    found = judge(NOW + HOUR)
    assert found.status is CheckStatus.UNKNOWN
    assert found.finding is not None
    assert found.finding.severity == "warning"
    assert found.reason == "The newest timestamp is 1 h in the future."


def test_the_tolerance_can_be_set() -> None:
    assert judge(NOW + HOUR, rules=Rules(clock_skew=2 * HOUR)).status is CheckStatus.PASS


def test_an_empty_table_is_unknown_not_fresh() -> None:
    found = judge(None)
    assert (found.status, found.reason, found.finding) == (CheckStatus.UNKNOWN, "The table has no rows.", None)


def test_a_source_that_does_not_answer_makes_freshness_unknown_with_its_cause() -> None:
    facts = FreshnessFacts((NewestRow(ELEMENT, failure="duckdb did not answer within 30 s (timeout)."),))
    verdict = FreshnessCheck().judge(contract(), facts, Rules())
    assert verdict.status is CheckStatus.UNKNOWN
    assert verdict.reason == "duckdb did not answer within 30 s (timeout)."
    assert verdict.findings == ()


@pytest.mark.parametrize(
    ("zone", "age"),
    [
        pytest.param("Etc/UTC", 30 * MINUTE, id="UTC"),
        # The clocks in Berlin went forward that night; the wall clock there is two hours ahead of UTC.
        pytest.param("Europe/Berlin", 150 * MINUTE, id="two hours ahead in summer"),
    ],
)
def test_a_naive_timestamp_is_read_in_the_declared_zone(zone: str, age: timedelta) -> None:
    naive = (NOW - 30 * MINUTE).replace(tzinfo=None)
    assert judge(naive, time_zone=zone).measure == age.total_seconds()


@pytest.mark.parametrize(
    ("zone", "says"),
    [pytest.param(None, "defaultTimezone", id="none declared"), pytest.param("Mars/Base", "does not exist", id="odd")],
)
def test_a_naive_timestamp_without_a_usable_zone_is_an_error_for_a_person(zone: str | None, says: str) -> None:
    found = judge(NOW.replace(tzinfo=None), time_zone=zone)
    assert found.status is CheckStatus.ERROR
    assert says in found.reason


@given(age=st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3650)))
def test_it_fails_exactly_when_the_age_is_above_the_threshold(age: timedelta) -> None:
    assert (judge(NOW - age).status is CheckStatus.FAIL) == (age > 2 * HOUR)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (45 * SECOND, "45 s"),
        (0.4 * SECOND, "0.4 s"),
        (61 * SECOND, "1 min 1 s"),
        (6 * HOUR, "6 h"),
        (timedelta(days=3, seconds=1), "3 d 1 s"),
        (timedelta(days=3, hours=2, minutes=5), "3 d 2 h"),
    ],
)
def test_durations_are_shown_as_people_say_them(duration: timedelta, text: str) -> None:
    assert show(duration) == text


def snapshot(operation: str, *, hours: int, added: int | None = 1, deleted: int | None = 0) -> Snapshot:
    return Snapshot(
        snapshot_id=f"{operation}{hours}",
        committed_at=NOW + hours * HOUR,
        operation=operation,
        added_records=added,
        deleted_records=deleted,
    )


@pytest.mark.parametrize(
    ("snapshots", "hours"),
    [
        pytest.param([snapshot("append", hours=1), snapshot("replace", hours=2)], 1, id="compaction changes nothing"),
        pytest.param([snapshot("append", hours=1), snapshot("append", hours=2, added=0)], 1, id="an append of nothing"),
        pytest.param([snapshot("append", hours=1), snapshot("delete", hours=2, added=0, deleted=3)], 2, id="a delete"),
        pytest.param([snapshot("overwrite", hours=2), snapshot("append", hours=1)], 2, id="in any order"),
        pytest.param([snapshot("append", hours=1, added=None, deleted=None)], 1, id="a writer that does not count"),
        pytest.param([snapshot("replace", hours=1)], None, id="maintenance only"),
        pytest.param([], None, id="no history"),
    ],
)
def test_the_last_change_is_the_newest_snapshot_that_changed_rows(snapshots: list[Snapshot], hours: int | None) -> None:
    found = last_data_change(snapshots)
    assert (found.committed_at if found else None) == (None if hours is None else NOW + hours * HOUR)


def test_the_details_say_from_when_on_the_promise_will_be_broken() -> None:
    promise = contract(freshness=2 * HOUR)
    facts = FreshnessFacts((NewestRow("orders.updated_at", observed_at=NOW, newest=NOW - HOUR),))
    assert FreshnessCheck().judge(promise, facts, Rules()).details == {
        "stale_from": {"orders.updated_at": (NOW + HOUR).isoformat()}
    }
    late = FreshnessFacts((NewestRow("orders.updated_at", observed_at=NOW, newest=NOW - 3 * HOUR),))
    assert FreshnessCheck().judge(promise, late, Rules()).details == {}


@pytest.mark.requirement("FR-010")
def test_the_details_tell_the_largest_clock_skew_that_was_measured() -> None:
    watched = contract()
    watched = replace(watched, freshness=watched.freshness * 3)
    skews = (timedelta(seconds=1), None, timedelta(seconds=-2.5))
    rows = tuple(NewestRow("orders.updated_at", NOW, NOW, clock_skew=skew) for skew in skews)
    verdict = FreshnessCheck().judge(watched, FreshnessFacts(rows), Rules())
    assert verdict.details["clock_skew_seconds"] == -2.5
