"""What one replica does for all of them, on a real PostgreSQL."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.service.housekeeping import Housekeeping
from floe_monitor.store import duties
from floe_monitor.store.outbox import forget
from floe_monitor.store.partitions import partitions
from floe_monitor.store.results import record
from floe_monitor.store.tables import CheckResult, DailyAggregate, DutyRow, OutboxRow
from monitor.tests.builders import NOW, FakeClock, check_run, outcome

pytestmark = pytest.mark.requirement("FR-002", "HOUSE-11")
ONE, OTHER = uuid4(), uuid4()
DAY = timedelta(days=1)
ALL_DONE = {("make_partitions", "done"): 1, ("aggregate_days", "done"): 1, ("drop_expired", "done"): 1}


class Observed:
    """Counts duties."""

    def __init__(self) -> None:
        self.ended: Counter[tuple[str, str]] = Counter()

    def duty_ended(self, duty: str, outcome: str, took: timedelta) -> None:
        assert took > timedelta()
        self.ended[duty, outcome] += 1


def housekeeping(engine: AsyncEngine, observed: Observed, *, replica: UUID = ONE, at: timedelta = DAY) -> Housekeeping:
    return Housekeeping(engine, replica, observed, 90 * DAY, timedelta(minutes=10), FakeClock(NOW + at))


async def count(engine: AsyncEngine, table: type[CheckResult | DailyAggregate | OutboxRow]) -> int:
    async with engine.connect() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()


async def make_all_due(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(update(DutyRow).values(due_at=func.now()))


async def test_several_replicas_do_each_duty_once(engine: AsyncEngine) -> None:
    await record(engine, [check_run()])
    observed = Observed()
    await asyncio.gather(*(housekeeping(engine, observed, replica=uuid4()).once() for _ in range(3)))
    assert observed.ended == ALL_DONE
    assert await count(engine, DailyAggregate) == 1
    assert len(await partitions(engine, "contract_check_results")) == 4


async def test_a_duty_is_due_again_after_an_hour(engine: AsyncEngine) -> None:
    observed = Observed()
    await housekeeping(engine, observed).once()
    async with engine.connect() as connection:
        present = (await connection.execute(select(func.now()))).scalar_one()
        due_at = (await connection.scalars(select(DutyRow.due_at))).all()
    assert all(timedelta(minutes=55) < one - present < timedelta(minutes=65) for one in due_at)
    await make_all_due(engine)
    await housekeeping(engine, observed, replica=OTHER).once()
    assert set(observed.ended.values()) == {2}


async def test_results_go_after_their_time_and_their_days_stay(engine: AsyncEngine) -> None:
    observed = Observed()
    await housekeeping(engine, observed).once()
    await record(engine, [check_run(outcome("error"))])
    await make_all_due(engine)
    await housekeeping(engine, observed, at=130 * DAY).once()
    assert await count(engine, CheckResult) == 0
    assert await count(engine, DailyAggregate) == 1


async def test_a_duty_that_fails_is_tried_again_soon_and_ends_nothing(engine: AsyncEngine) -> None:
    observed = Observed()
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE contract_daily_aggregates RENAME TO elsewhere"))
    await housekeeping(engine, observed).once()
    assert observed.ended == {
        ("make_partitions", "done"): 1,
        ("aggregate_days", "done"): 1,  # there was nothing to aggregate
        ("drop_expired", "done"): 1,
    }
    await record(engine, [check_run()])
    await make_all_due(engine)
    await housekeeping(engine, observed).once()
    assert observed.ended["aggregate_days", "failed"] == 1
    assert observed.ended["drop_expired", "done"] == 2
    async with engine.connect() as connection:
        row = (await connection.execute(select(DutyRow).where(DutyRow.name == "aggregate_days"))).one()
        soon = await connection.scalar(select(func.now() + timedelta(minutes=2)))
    assert row.due_at < soon
    assert row.claimed_until is None


async def test_a_duty_whose_replica_died_is_done_by_another_when_the_claim_has_run_out(engine: AsyncEngine) -> None:
    assert await duties.claim(engine, ONE, "aggregate_days", DAY)
    assert not await duties.claim(engine, OTHER, "aggregate_days", DAY)
    async with engine.begin() as connection:
        await connection.execute(update(DutyRow).values(claimed_until=func.now() - timedelta(seconds=1)))
    assert await duties.claim(engine, OTHER, "aggregate_days", DAY)
    await duties.finish(engine, ONE, "aggregate_days", timedelta())  # it comes back: nothing is its own any more
    assert not await duties.claim(engine, ONE, "aggregate_days", DAY)


async def test_settled_alerts_are_forgotten_batch_by_batch_and_waiting_ones_are_not(engine: AsyncEngine) -> None:
    runs = [check_run(outcome("error", element=f"t{number}.c")) for number in range(5)]
    await record(engine, runs)
    async with engine.begin() as connection:
        kept = (await connection.scalars(select(OutboxRow.id).order_by(OutboxRow.id).limit(2))).all()
        await connection.execute(update(OutboxRow).where(OutboxRow.id.not_in(kept)).values(sent_at=NOW))
        await connection.execute(update(OutboxRow).where(OutboxRow.id == kept[0]).values(given_up_at=NOW + DAY))
    assert await forget(engine, NOW + timedelta(seconds=1), batch=2) == 3
    assert await count(engine, OutboxRow) == 2
