"""Deadlines on a grid."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_monitor.schedule.plan import CATCH_UP, Timetable, quantile
from monitor.tests.builders import HOUR, MINUTE, NOW, SECOND

pytestmark = pytest.mark.requirement("FR-003", "FR-006")
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
INTERVALS = st.timedeltas(timedelta(milliseconds=100), timedelta(days=7))


@given(key=st.text(), interval=INTERVALS, moment=MOMENTS)
def test_the_next_deadline_is_the_first_one_after_the_moment(key: str, interval: timedelta, moment: datetime) -> None:
    timetable = Timetable.of(key, interval)
    following = timetable.next_after(moment)
    assert moment < following <= moment + interval
    assert timetable.last_until(moment) == following - interval
    assert timetable.next_after(following) == following + interval


@given(key=st.text(), interval=INTERVALS, moment=MOMENTS, late=st.timedeltas(timedelta(0), timedelta(days=30)))
def test_every_deadline_between_planned_and_now_is_missed(
    key: str, interval: timedelta, moment: datetime, late: timedelta
) -> None:
    timetable = Timetable.of(key, interval)
    planned = timetable.next_after(moment)
    missed = timetable.missed_between(planned, planned + late)
    assert planned + missed * interval <= planned + late < planned + (missed + 1) * interval


@given(key=st.text(), interval=INTERVALS)
def test_the_phase_lies_within_the_interval_and_is_the_same_everywhere(key: str, interval: timedelta) -> None:
    assert timedelta() <= Timetable.of(key, interval).phase < interval
    assert Timetable.of(key, interval) == Timetable.of(key, interval)


def test_the_phase_of_a_key_never_changes_between_releases() -> None:
    # Replicas of two releases must agree during an upgrade.
    assert Timetable.of("sales.shop/orders:1.0.0 freshness", 15 * MINUTE).phase == timedelta(
        seconds=730, microseconds=667938
    )


def test_many_keys_spread_over_the_interval() -> None:
    phases = [Timetable.of(f"contract {number}", HOUR).phase for number in range(1000)]
    per_tenth = [sum(1 for phase in phases if int(phase / HOUR * 10) == tenth) for tenth in range(10)]
    assert min(per_tenth) > 70


def test_a_change_of_daylight_saving_moves_no_deadline() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    timetable = Timetable.of("orders", HOUR)
    before = datetime(2026, 3, 29, 1, 30, tzinfo=berlin)
    deadlines = [timetable.next_after(before)]
    for _ in range(3):
        deadlines.append(timetable.next_after(deadlines[-1]))
    assert {later - earlier for earlier, later in pairwise(deadlines)} == {HOUR}


@given(key=st.text(), interval=INTERVALS)
def test_a_check_that_never_ran_begins_soon(key: str, interval: timedelta) -> None:
    assert NOW <= Timetable.of(key, interval).first(NOW, None) <= NOW + min(CATCH_UP, interval)


def test_a_restart_neither_repeats_nor_skips_a_check() -> None:
    timetable = Timetable.of("orders", HOUR)
    last = timetable.last_until(NOW)
    assert timetable.first(NOW, last + SECOND) == last + HOUR
    assert timetable.first(NOW, last - SECOND) <= NOW + CATCH_UP


def test_an_interval_must_be_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        Timetable.of("orders", timedelta())


def test_quantiles_of_nothing_are_zero() -> None:
    assert quantile([], 0.99) == 0.0
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
