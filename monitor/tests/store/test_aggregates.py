"""Daily aggregates, compared with a recomputation from the runs themselves, on a real PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from operator import itemgetter
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Row, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.checks.model import CheckStatus, Outcome, Verdict
from floe_monitor.store.aggregates import aggregate_days, day_of
from floe_monitor.store.database import open_engine
from floe_monitor.store.records import CheckRun
from floe_monitor.store.results import record
from floe_monitor.store.tables import DailyAggregate, DayToAggregate
from monitor.tests.builders import MINUTE, NOW, check_run, contract, finding

pytestmark = pytest.mark.requirement("FR-002", "FR-020", "FR-037")
# Clocks in Europe jump on this day, NOW's.
MIDNIGHT = datetime(2026, 3, 29, tzinfo=UTC)
HOLDS = timedelta(minutes=30)
LATER = NOW + timedelta(days=1)
CONTRACTS = [contract(name="a"), contract(name="b"), contract(name="a", version="2.0.0")]


@st.composite
def runs(draw: st.DrawFn) -> CheckRun:
    """A run of some check within three days around the jump of the clocks."""
    check = draw(st.sampled_from(ViolationType))
    at = MIDNIGHT + draw(st.integers(-24 * 12, 48 * 12 - 1)) * 5 * MINUTE
    outcome = Outcome(draw(st.sampled_from(CheckStatus)), finding=draw(st.none() | st.just(finding())))
    details: dict[str, Any] = {}
    if check is ViolationType.AVAILABILITY:
        details = {"up": draw(st.booleans()), "holds_for_seconds": draw(st.sampled_from([None, 600.0]))}
    if check is ViolationType.QUALITY:
        details = {"quality_score": draw(st.none() | st.floats(0, 100))}
    duration = draw(st.integers(0, 5000)) * timedelta(milliseconds=1)
    return CheckRun(uuid4(), draw(st.sampled_from(CONTRACTS)), check, at, at, duration, Verdict((outcome,), details))


Key = tuple[str, str, str, date]


def recomputed(all_runs: Sequence[CheckRun]) -> dict[Key, dict[str, Any]]:
    """The aggregates, by plain arithmetic over the runs."""
    by_key: dict[Key, list[CheckRun]] = {}
    for run in all_runs:
        identity = run.contract.id
        key = (identity.name, identity.version, run.check.value, run.checked_at.astimezone(UTC).date())
        by_key.setdefault(key, []).append(run)
    return {key: _row(key, found, all_runs) for key, found in by_key.items()}


def _row(key: Key, found: Sequence[CheckRun], all_runs: Sequence[CheckRun]) -> dict[str, Any]:
    states = [run.verdict.status.value for run in found]
    durations = [run.duration.total_seconds() for run in found]
    scores = [score for run in found if (score := run.verdict.details.get("quality_score")) is not None]
    observed, up = _uptime(key, all_runs)
    return {
        "total": len(found),
        "states": [states.count(state) for state in ("pass", "fail", "error", "unknown", "skipped")],
        "duration": pytest.approx(sum(durations) / len(durations)),
        "scores": (
            len(scores),
            min(scores, default=None),
            max(scores, default=None),
            pytest.approx(sum(scores) / len(scores)) if scores else None,
        ),
        "uptime": (
            pytest.approx(observed),
            pytest.approx(up),
            pytest.approx(100 * up / observed) if observed else None,
        ),
        "violations": sum(len(run.verdict.findings) for run in found),
    }


def _uptime(key: Key, all_runs: Sequence[CheckRun]) -> tuple[float, float]:
    """Seconds of the day in which the state was known, and in which it was up, counted minute by minute."""
    name, version, check, day = key
    if check != ViolationType.AVAILABILITY.value:
        return 0.0, 0.0
    pings = sorted(
        (
            (run.checked_at, run.verdict.details)
            for run in all_runs
            if (run.contract.id.name, run.contract.id.version, run.check.value) == (name, version, check)
        ),
        key=itemgetter(0),
    )
    observed = up = 0.0
    for (begin, details), (end, _) in pairwise(pings):
        if end - begin > timedelta(seconds=details.get("holds_for_seconds") or HOLDS.total_seconds()):
            continue
        minute = begin
        while minute < end:
            if minute.astimezone(UTC).date() == day:
                observed += 60
                up += 60 if details["up"] else 0
            minute += MINUTE
    return observed, up


def shown(row: Row[Any]) -> dict[str, Any]:
    """A row in the form of `recomputed`."""
    return {
        "total": row.total_checks,
        "states": [
            row.passed_checks,
            row.failed_checks,
            row.error_checks,
            row.unknown_checks,
            row.skipped_checks,
        ],
        "duration": row.avg_duration_seconds,
        "scores": (row.scored_checks, row.min_quality_score, row.max_quality_score, row.avg_quality_score),
        "uptime": (row.observed_seconds, row.up_seconds, row.uptime_pct),
        "violations": row.violation_count,
    }


async def aggregates(engine: AsyncEngine) -> dict[Key, dict[str, Any]]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(DailyAggregate.__table__))
        return {(row.contract_name, row.contract_version, row.check_type, row.date): shown(row) for row in rows}


async def _empty(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "TRUNCATE contract_check_results, contract_violations, contract_daily_aggregates, "
                "contract_days_to_aggregate"
            )
        )


def _one_ping_a_moment(found: Sequence[CheckRun]) -> list[CheckRun]:
    """Of two observations of one contract at one moment nobody could say which came first."""
    unique = {(run.contract.id, run.check, run.checked_at): run for run in found}
    return list(unique.values())


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(runs(), max_size=60).map(_one_ping_a_moment))
async def test_aggregates_equal_a_recomputation_wherever_the_session_is(found: list[CheckRun], database: str) -> None:
    engine = open_engine(database)
    try:
        async with engine.begin() as connection:
            zone = f"ALTER DATABASE {make_url(database).database} SET TimeZone = 'America/St_Johns'"
            await connection.execute(text(zone))
        await engine.dispose()  # sessions take the zone when they begin
        await _empty(engine)
        await record(engine, found)
        await aggregate_days(engine, LATER, holds_for=HOLDS)
        assert await aggregates(engine) == recomputed(found)
    finally:
        await engine.dispose()


def pings(*minutes: int, up: bool = True) -> list[CheckRun]:
    """Observations of availability at these minutes from midnight on."""
    runs = []
    for minute in minutes:
        run = check_run(Outcome(CheckStatus.PASS), check=ViolationType.AVAILABILITY, at=MIDNIGHT + minute * MINUTE)
        runs.append(replace(run, verdict=replace(run.verdict, details={"up": up})))
    return runs


async def test_aggregating_again_changes_nothing(engine: AsyncEngine) -> None:
    found = pings(-10, 0, 10)
    await record(engine, found)
    await aggregate_days(engine, LATER, holds_for=HOLDS)
    first = await aggregates(engine)
    await aggregate_days(engine, LATER, holds_for=HOLDS)
    assert await aggregates(engine) == first == recomputed(found)


async def test_a_result_that_comes_days_late_is_taken_in(engine: AsyncEngine) -> None:
    found = pings(0, 10)
    await record(engine, found)
    much_later = NOW + timedelta(days=10)
    assert day_of(MIDNIGHT) in await aggregate_days(engine, much_later, holds_for=HOLDS)
    assert await aggregate_days(engine, much_later, holds_for=HOLDS) == ()
    late = pings(20, -20)
    await record(engine, late)
    assert day_of(MIDNIGHT) in await aggregate_days(engine, much_later, holds_for=HOLDS)
    assert await aggregates(engine) == recomputed(found + late)


async def test_a_day_stays_marked_for_a_while_after_its_end(engine: AsyncEngine) -> None:
    await record(engine, pings(0))
    await aggregate_days(engine, MIDNIGHT + timedelta(days=2, hours=23), holds_for=HOLDS)
    async with engine.connect() as connection:
        assert day_of(MIDNIGHT) in (await connection.scalars(select(DayToAggregate.day))).all()


@pytest.mark.parametrize(
    ("stored_after", "marked"),
    [
        pytest.param(timedelta(), [0], id="at once"),
        pytest.param(timedelta(days=3), [-1, 0, 1], id="late, when the days beside it are aggregated already"),
    ],
)
async def test_the_days_beside_a_results_own_are_marked_if_it_comes_late(
    engine: AsyncEngine, stored_after: timedelta, marked: list[int]
) -> None:
    await record(engine, [check_run(at=NOW)], clock=lambda: NOW + stored_after)

    async with engine.connect() as connection:
        days = (await connection.scalars(select(DayToAggregate.day).order_by(DayToAggregate.day))).all()
    assert days == [day_of(NOW) + timedelta(days=offset) for offset in marked]


async def test_results_that_are_stored_while_their_day_is_aggregated_are_not_forgotten(engine: AsyncEngine) -> None:
    found = [one for minute in range(0, 40, 5) for one in pings(minute)]
    long_after = NOW + timedelta(days=30)

    async def aggregate() -> None:
        for _ in range(8):
            await aggregate_days(engine, long_after, holds_for=HOLDS)

    await asyncio.gather(aggregate(), *(record(engine, [run]) for run in found))
    await aggregate_days(engine, long_after, holds_for=HOLDS)
    assert await aggregates(engine) == recomputed(found)


async def test_a_state_that_crosses_midnight_counts_for_both_days(engine: AsyncEngine) -> None:
    await record(engine, pings(-10, 20))
    await aggregate_days(engine, LATER, holds_for=HOLDS)
    rows = await aggregates(engine)
    assert [rows[key]["uptime"][0] for key in sorted(rows, key=str)] == [600.0, 1200.0]


async def test_days_without_their_single_results_keep_what_was_aggregated(engine: AsyncEngine) -> None:
    await record(engine, pings(0, 10))
    await aggregate_days(engine, LATER, holds_for=HOLDS)
    before = await aggregates(engine)
    async with engine.begin() as connection:
        await connection.execute(text("TRUNCATE contract_check_results, contract_violations"))
    await aggregate_days(engine, LATER, holds_for=HOLDS)
    assert await aggregates(engine) == before != {}
