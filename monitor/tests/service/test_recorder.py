"""Results behind the checks' back."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.service.metrics import MonitorMetrics
from floe_monitor.service.recorder import Recorder
from floe_monitor.store.database import open_engine, upgrade
from floe_monitor.store.embedded import embedded_server
from floe_monitor.store.tables import CheckResult
from monitor.tests.builders import MINUTE, NOW, check_run, contract, until

pytestmark = pytest.mark.requirement("FR-002", "HOUSE-10")


class Counting(MonitorMetrics):
    """Metrics that remember what was dropped."""

    def __init__(self) -> None:
        super().__init__(NoOpMeterProvider().get_meter("test"))
        self.lost: list[str] = []

    def dropped(self, results: int, reason: str) -> None:
        self.lost += [reason] * results


async def stored(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(select(func.count()).select_from(CheckResult)) or 0


async def test_everything_that_is_put_is_stored_in_batches(engine: AsyncEngine) -> None:
    woken: list[int] = []
    recorder = Recorder(engine, Counting(), on_stored=lambda: woken.append(1))
    task = asyncio.create_task(recorder.run())
    for number in range(250):
        recorder.put(check_run(at=NOW + number * MINUTE))
    assert await recorder.drain(timedelta(seconds=20))
    task.cancel()
    assert (await stored(engine), recorder.waiting, recorder.failure) == (250, 0, None)
    assert 1 <= len(woken) <= 5


async def test_while_the_store_is_away_results_wait_and_then_arrive(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE contract_check_results RENAME TO away"))
    recorder = Recorder(engine, Counting())
    task = asyncio.create_task(recorder.run())
    recorder.put(check_run())
    await until(lambda: recorder.failure is not None)
    assert recorder.waiting == 1
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE away RENAME TO contract_check_results"))
    assert await recorder.drain(timedelta(seconds=20))
    task.cancel()
    assert (await stored(engine), recorder.failure) == (1, None)


async def test_no_result_is_lost_when_the_database_restarts(tmp_path: Path) -> None:
    with embedded_server(tmp_path, ("fsync=off",)) as server:
        engine = open_engine(server.url)
        await upgrade(engine)
        recorder = Recorder(engine, Counting())
        task = asyncio.create_task(recorder.run())
        recorder.put(check_run())
        assert await recorder.drain(timedelta(seconds=20))
    recorder.put(check_run(at=NOW + MINUTE))
    await until(lambda: recorder.failure is not None)
    with embedded_server(tmp_path, ("fsync=off",)):
        assert await recorder.drain(timedelta(seconds=20))
        task.cancel()
        assert (await stored(engine), recorder.failure) == (2, None)
        await engine.dispose()


async def test_a_full_buffer_drops_the_oldest_and_counts_them() -> None:
    nowhere = open_engine("postgresql://floe@127.0.0.1:9/none")
    metrics = Counting()
    recorder = Recorder(nowhere, metrics, capacity=3)
    for number in range(5):
        recorder.put(check_run(at=NOW + number * MINUTE))
    assert recorder.waiting == 3
    assert metrics.lost == ["buffer_full", "buffer_full"]
    assert not await recorder.drain(timedelta(milliseconds=10))
    await nowhere.dispose()


async def test_one_result_that_the_database_refuses_does_not_hold_up_the_others(engine: AsyncEngine) -> None:
    metrics = Counting()
    recorder = Recorder(engine, metrics)
    recorder.put(check_run())
    recorder.put(check_run(of=contract(version="9" * 60)))
    recorder.put(check_run(at=NOW + MINUTE))
    task = asyncio.create_task(recorder.run())
    assert await recorder.drain(timedelta(seconds=20))
    task.cancel()
    assert await stored(engine) == 2
    assert metrics.lost == ["refused"]
