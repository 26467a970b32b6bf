"""A replica's rounds of leases, on a real PostgreSQL."""

import asyncio
import operator
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.manifest.models import Monitoring
from floe_core.plugin_interfaces.alert_channel import AlertKind, ViolationType
from floe_core.telemetry import init_telemetry
from floe_monitor.contracts.model import Contract
from floe_monitor.schedule.loop import Schedule
from floe_monitor.service.keeper import Keeper
from floe_monitor.service.metrics import MonitorMetrics
from floe_monitor.service.roster import Roster, WatchedElsewhereError
from floe_monitor.service.runner import Runner
from floe_monitor.store.leases import hold
from floe_monitor.store.records import CheckRun
from floe_monitor.store.tables import LeaseRow, ReplicaRow
from monitor.tests.builders import HOUR, NOW, contract, until
from monitor.tests.sources import ToldCompute, told_source

pytestmark = pytest.mark.requirement("FR-001", "FR-006", "HOUSE-11")
ROUND = timedelta(milliseconds=20)
Mode = Literal["scheduled", "continuous", "on_demand"]


class Kept:
    """A keeper with its roster and schedule over a told compute."""

    def __init__(self, engine: AsyncEngine, compute: ToldCompute, *, mode: Mode = "scheduled") -> None:
        tracers, meters = init_telemetry("test", "0", make_global=False)
        metrics = MonitorMetrics(meters.get_meter("test"))
        monitoring = Monitoring(mode=mode)
        self.runs: list[CheckRun] = []
        self.is_stored = True
        self.schedule = Schedule(metrics)
        runner = Runner(monitoring, (), tracers.get_tracer("test"), (self.runs.append,))
        self.roster = Roster(
            engine,
            self.schedule,
            runner,
            told_source(compute),
            metrics=metrics,
            monitoring=monitoring,
            interval=timedelta(milliseconds=100),
        )
        self.keeper = Keeper(engine, self.roster, self._stored, HOUR, ROUND)

    async def _stored(self, _within: timedelta) -> bool:
        return self.is_stored

    def recent(self, number: int) -> set[str]:
        return {run.contract.id.name for run in self.runs[len(self.runs) - number :]}

    @asynccontextmanager
    async def scheduling(self) -> AsyncIterator[None]:
        running = asyncio.create_task(self.schedule.run(grace=timedelta()))
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])


def stale(number: int) -> list[Contract]:
    return [contract(name=f"c{index}", freshness=HOUR) for index in range(number)]


def names(contracts: list[Contract]) -> set[str]:
    return {one.id.name for one in contracts}


async def ends(engine: AsyncEngine, replica: UUID) -> list[datetime]:
    """When the replica is believed to be dead, and when each of its leases ends, unless it renews them."""
    async with engine.connect() as connection:
        alive = select(ReplicaRow.alive_until).where(ReplicaRow.id == replica)
        leases = select(LeaseRow.expires_at).where(LeaseRow.holder == replica).order_by(LeaseRow.contract_name)
        return [*(await connection.scalars(alive)), *(await connection.scalars(leases))]


async def test_a_run_that_is_waited_for_costs_no_lease(engine: AsyncEngine) -> None:
    """Or the other replica would take everything while this one hands over a part."""
    answer = threading.Event()

    def hang() -> list[tuple[object, ...]]:
        answer.wait(20)
        return [(NOW, NOW)]

    kept, other = Kept(engine, ToldCompute(rows=hang)), uuid4()
    await kept.roster.take(stale(2))
    await kept.keeper.once()
    async with kept.scheduling():
        await until(lambda: kept.schedule.running == 2)
        await hold(engine, other, HOUR)
        handing_over = asyncio.create_task(kept.keeper.once())
        await until(lambda: kept.keeper.share.excess == 1)  # from here on it waits for the run
        for _ in range(2):
            before = await ends(engine, kept.keeper.replica)

            async def is_renewed(before: list[datetime] = before) -> bool:
                return all(map(operator.gt, await ends(engine, kept.keeper.replica), before))

            await until(is_renewed)
        assert (await hold(engine, other, HOUR)).fences == {}
        answer.set()
        await asyncio.wait_for(handing_over, 20)
        assert len((await hold(engine, other, HOUR)).fences) == 1


async def test_a_round_may_come_while_contracts_are_taken(engine: AsyncEngine) -> None:
    kept = Kept(engine, ToldCompute())
    contracts = stale(20)
    await kept.roster.take(contracts)
    fences = {str(one.id): 1 for one in contracts}
    await asyncio.gather(kept.roster.hold(fences), kept.roster.hold({}))
    kept.runs.clear()
    async with kept.scheduling():
        await kept.roster.hold({str(contracts[0].id): 2})
        await until(lambda: len(kept.runs) >= 3)
    assert kept.recent(3) == names(contracts[:1])


async def test_a_contract_that_could_not_be_given_back_keeps_its_episode(engine: AsyncEngine) -> None:
    """Its results were not stored, so nothing but this process's memory knows of the episode."""
    kept, contracts = Kept(engine, ToldCompute(rows=lambda: [(NOW - 9 * HOUR, NOW)])), stale(2)
    kept.is_stored = False
    await kept.roster.take(contracts)
    await kept.keeper.once()
    async with kept.scheduling():
        await until(lambda: kept.recent(len(kept.runs)) == names(contracts))
        await hold(engine, uuid4(), HOUR)
        await kept.keeper.once()
        before = len(kept.runs)
        await kept.roster.hold(kept.keeper.share.fences)  # as the next round begins
        await until(lambda: kept.recent(len(kept.runs) - before) == names(contracts))
    told = [step.told for run in kept.runs for step in run.steps if step.told is not None]
    assert told == [AlertKind.OPENED] * 2


async def test_a_check_that_is_asked_for_is_refused_if_its_contract_goes_to_another_replica_meanwhile(
    engine: AsyncEngine,
) -> None:
    answer = threading.Event()

    def hang() -> list[tuple[object, ...]]:
        answer.wait(20)
        return [(NOW, NOW)]

    kept, [watched] = Kept(engine, ToldCompute(rows=hang)), stale(1)
    await kept.roster.take([watched])
    await kept.keeper.once()
    async with kept.scheduling():
        await until(lambda: kept.schedule.running == 1)
        asked = asyncio.create_task(kept.roster.run_now(str(watched.id), ViolationType.FRESHNESS))
        await asyncio.sleep(0)  # it waits for the run that goes on
        await kept.roster.hold({})
        answer.set()
        with pytest.raises(WatchedElsewhereError):
            await asyncio.wait_for(asked, 20)
