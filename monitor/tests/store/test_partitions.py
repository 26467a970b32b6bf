"""Partitions by month, on a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.store.aggregates import aggregate_days
from floe_monitor.store.partitions import PARTITIONED, Month, _make, drop_expired, is_partition, make_ahead, partitions
from floe_monitor.store.results import record
from floe_monitor.store.tables import CheckResult, DailyAggregate, Violation
from monitor.tests.builders import check_run, outcome, until

pytestmark = pytest.mark.requirement("FR-002")
RESULTS, VIOLATIONS = PARTITIONED
MARCH = datetime(2026, 3, 29, 12, tzinfo=UTC)
KEEP = timedelta(days=90)


async def stored(engine: AsyncEngine) -> tuple[int, int]:
    """How many results and violations there are."""
    async with engine.connect() as connection:
        results = (await connection.execute(select(func.count()).select_from(CheckResult))).scalar_one()
        return results, (await connection.execute(select(func.count()).select_from(Violation))).scalar_one()


async def rows_of(engine: AsyncEngine, partition: str) -> int:
    async with engine.connect() as connection:
        return (await connection.execute(text(f"SELECT count(*) FROM {partition}"))).scalar_one()  # noqa: S608 - a name of ours


async def test_this_month_and_the_next_ones_are_made_once(engine: AsyncEngine) -> None:
    made = await make_ahead(engine, MARCH)
    assert made == (
        "contract_check_results_2026_03",
        "contract_check_results_2026_04",
        "contract_check_results_2026_05",
        "contract_violations_2026_03",
        "contract_violations_2026_04",
        "contract_violations_2026_05",
    )
    assert await make_ahead(engine, MARCH) == ()
    assert await make_ahead(engine, MARCH + timedelta(days=31)) == (
        "contract_check_results_2026_06",
        "contract_violations_2026_06",
    )


async def test_replicas_that_make_partitions_at_once_do_not_hinder_each_other(engine: AsyncEngine) -> None:
    made = await asyncio.gather(*(make_ahead(engine, MARCH) for _ in range(4)))
    assert sum(map(len, made)) == 6


async def test_a_day_is_aggregated_as_a_whole_while_its_rows_move_to_a_new_partition(engine: AsyncEngine) -> None:
    await record(engine, [check_run(at=MARCH)])

    async def somebody_waits() -> bool:
        async with engine.connect() as looking:
            return bool(await looking.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))

    async with engine.begin() as moving:
        await _make(moving, RESULTS, Month.of(MARCH))
        aggregating = asyncio.create_task(aggregate_days(engine, MARCH, holds_for=timedelta(minutes=10)))
        await until(somebody_waits)
    await aggregating

    async with engine.connect() as connection:
        assert (await connection.scalars(select(DailyAggregate.total_checks))).all() == [1]


async def test_results_go_to_their_months_partition(engine: AsyncEngine) -> None:
    await make_ahead(engine, MARCH)
    april = datetime(2026, 4, 1, tzinfo=UTC)
    await record(engine, [check_run(outcome("error"), at=at) for at in (MARCH, april - timedelta.resolution, april)])
    assert await rows_of(engine, Month(2026, 3).partition_of(RESULTS)) == 2
    assert await rows_of(engine, Month(2026, 4).partition_of(RESULTS)) == 1
    assert await rows_of(engine, Month(2026, 4).partition_of(VIOLATIONS)) == 1


async def test_a_result_of_a_month_that_nobody_made_is_kept_and_moves_when_it_is(engine: AsyncEngine) -> None:
    await record(engine, [check_run(outcome("error"), at=MARCH)])
    assert await rows_of(engine, f"{RESULTS}_default") == 1
    await make_ahead(engine, MARCH)
    assert await rows_of(engine, f"{RESULTS}_default") == 0
    assert await rows_of(engine, Month(2026, 3).partition_of(VIOLATIONS)) == 1
    assert await stored(engine) == (1, 1)


async def test_a_month_goes_when_its_last_moment_is_older_than_is_kept(engine: AsyncEngine) -> None:
    await make_ahead(engine, MARCH)
    await record(engine, [check_run(outcome("error"), at=MARCH), check_run(at=MARCH + timedelta(days=7))])
    end_of_march = datetime(2026, 4, 1, tzinfo=UTC)
    assert await drop_expired(engine, end_of_march + KEEP - timedelta(seconds=1), KEEP) == ()
    assert await stored(engine) == (2, 1)
    assert await drop_expired(engine, end_of_march + KEEP, KEEP) == (
        Month(2026, 3).partition_of(RESULTS),
        Month(2026, 3).partition_of(VIOLATIONS),
    )
    assert await stored(engine) == (1, 0)


async def test_rows_of_no_month_go_when_they_are_too_old(engine: AsyncEngine) -> None:
    await record(engine, [check_run(at=MARCH), check_run(at=MARCH + timedelta(days=1))])
    await drop_expired(engine, MARCH + KEEP + timedelta(hours=1), KEEP)
    assert await stored(engine) == (1, 0)


async def test_dropping_waits_for_no_reader_for_long(engine: AsyncEngine) -> None:
    await make_ahead(engine, MARCH)
    async with engine.connect() as reader:
        await reader.execute(text(f"SELECT count(*) FROM {RESULTS}"))  # noqa: S608 - its lock stays to the transaction's end
        with pytest.raises(Exception, match="lock timeout"):
            await asyncio.wait_for(drop_expired(engine, MARCH + 5 * KEEP, KEEP), 20)
    assert len(await partitions(engine, RESULTS)) == 4


def test_parts_are_known_by_their_names() -> None:
    assert all(is_partition(f"{table}_{part}") for table in PARTITIONED for part in ("before", "default", "2026_03"))
    assert not any(map(is_partition, (*PARTITIONED, "contract_daily_aggregates", "contract_violations_of_others")))


@given(st.integers(0, 200_000 * 24))
def test_months_join_without_a_gap(hours: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    month = Month.of(moment)
    assert month.start <= moment < month.end
    assert month.end == month.plus(1).start
    assert month.plus(1).plus(-1) == month
