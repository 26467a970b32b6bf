"""Several monitors on one database."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.telemetry import init_telemetry
from floe_monitor.contracts.model import Contract
from floe_monitor.service.monitor import Monitor, MonitorSettings
from floe_monitor.store.records import CheckRun
from floe_monitor.store.tables import EpisodeRow, OutboxRow
from monitor.tests.builders import HOUR, NOW, contract, until
from monitor.tests.sources import ToldCompute, told_source

pytestmark = pytest.mark.requirement("FR-001", "FR-006", "HOUSE-11")
LEASE = timedelta(seconds=3)
CONTRACTS = [contract(name=f"c{number}", freshness=HOUR) for number in range(4)]


class Replica:
    """One monitor; every table it looks at is stale."""

    def __init__(self, database: str, contracts: list[Contract]) -> None:
        self.runs: list[CheckRun] = []
        self.stop = asyncio.Event()
        source = told_source(ToldCompute(rows=lambda: [(NOW - 9 * HOUR, NOW)]))
        monitor = Monitor(
            MonitorSettings(database, port=0, interval=timedelta(milliseconds=200), lease=LEASE),
            contracts,
            source,
            {},
            telemetry=lambda reader: init_telemetry("test", "0", metric_readers=(reader,), make_global=False),
            listeners=[self.runs.append],
        )
        self.task = asyncio.create_task(monitor.run(self.stop))

    @property
    def watched(self) -> set[str]:
        """Contracts that it has looked at."""
        return {run.contract.id.name for run in self.runs}

    def recently(self, number: int) -> set[str]:
        return {run.contract.id.name for run in self.runs[-number:]}

    async def kill(self) -> None:
        """Ends it without a word to anybody."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def end(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, 30)


def names(contracts: list[Contract]) -> set[str]:
    return {one.id.name for one in contracts}


async def episodes(engine: AsyncEngine) -> Counter[str]:
    async with engine.connect() as connection:
        rows = await connection.execute(select(EpisodeRow.contract_name))
        return Counter(name for (name,) in rows)


def _is_shared(one: Replica, other: Replica) -> bool:
    """Each contract is one replica's, two for each."""
    mine, others = one.recently(6), other.recently(6)
    return mine.isdisjoint(others) and mine | others == names(CONTRACTS) and len(mine) == len(others)


async def test_two_replicas_share_and_one_goes_on_alone_when_the_other_is_killed(
    database: str, engine: AsyncEngine
) -> None:
    one = Replica(database, CONTRACTS)
    await until(lambda: one.watched == names(CONTRACTS))
    other = Replica(database, CONTRACTS)
    try:
        await until(lambda: other.watched != set())
        await until(lambda: _is_shared(one, other))
        await one.kill()
        await until(lambda: other.recently(20) == names(CONTRACTS))
    finally:
        await other.end()
    assert await episodes(engine) == dict.fromkeys(names(CONTRACTS), 1)


async def test_a_replica_that_stops_hands_over_at_once(database: str, engine: AsyncEngine) -> None:
    one = Replica(database, CONTRACTS)
    await until(lambda: one.watched == names(CONTRACTS))
    await one.end()
    other = Replica(database, CONTRACTS)
    try:
        await until(lambda: other.watched == names(CONTRACTS))
    finally:
        await other.end()
    assert await episodes(engine) == dict.fromkeys(names(CONTRACTS), 1)
    async with engine.connect() as connection:
        assert (await connection.execute(select(OutboxRow))).all() == []
