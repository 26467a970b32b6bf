"""A real PostgreSQL that is stopped and started beneath a monitor."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import httpx
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from floe_core.telemetry import init_telemetry
from floe_monitor.contracts.model import Contract
from floe_monitor.service.monitor import Monitor, MonitorSettings
from floe_monitor.service.state import ServiceState
from floe_monitor.store.database import open_engine, upgrade
from floe_monitor.store.embedded import EmbeddedServer, embedded_server
from floe_monitor.store.leases import Known, hold
from floe_monitor.store.records import CheckRun
from floe_monitor.store.results import register
from floe_monitor.store.tables import CheckResult, EpisodeRow
from monitor.tests.builders import HOUR, NOW, contract, until
from monitor.tests.sources import ToldCompute, told_source

pytestmark = pytest.mark.requirement("FR-002", "FR-005", "HOUSE-10")
CONTRACTS = [contract(name=f"c{number}", freshness=HOUR) for number in range(3)]
STALE = [(NOW - 9 * HOUR, NOW)]
_OPTIONS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class Server:
    """A server that can be stopped and started; its URL stays."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running = ExitStack()
        self.server: EmbeddedServer | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.url

    def start(self) -> None:
        self.server = self._running.enter_context(embedded_server(self._directory, _OPTIONS))

    def stop(self) -> None:
        self._running.close()

    async def empty(self) -> None:
        assert self.server is not None
        connection = await asyncpg.connect(self.server.url_of("postgres"))
        await connection.execute("DROP DATABASE floe_monitoring WITH (FORCE)")
        await connection.execute("CREATE DATABASE floe_monitoring")
        await connection.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outage")


@pytest.fixture
def server(directory: Path) -> Iterator[Server]:
    """A running server with an empty database."""
    server = Server(directory)
    server.start()
    yield server
    server.stop()


class Watching:
    """A monitor over stale tables, with what it found and where it serves."""

    def __init__(self) -> None:
        self.runs: list[CheckRun] = []
        self.port = 0
        self.state = ServiceState()

    def can_work(self) -> bool:
        return self.state.readiness()[0]

    def cannot_work(self) -> bool:
        return not self.can_work()

    async def told(self) -> tuple[int, str]:
        """What `/readyz` answers."""
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{self.port}/readyz")
        return answer.status_code, " ".join(answer.json()["cannot"])

    async def goes_on(self) -> None:
        """Waits for some more results."""
        before = len(self.runs)
        await until(lambda: len(self.runs) >= before + 9)


@asynccontextmanager
async def watching(url: str, contracts: list[Contract] = CONTRACTS) -> AsyncIterator[Watching]:
    found, stop = Watching(), asyncio.Event()
    monitor = Monitor(
        MonitorSettings(url, port=0, interval=timedelta(milliseconds=100)),
        contracts,
        told_source(ToldCompute(rows=lambda: STALE)),
        {},
        telemetry=lambda reader: init_telemetry("test", "0", metric_readers=(reader,), make_global=False),
        listeners=[found.runs.append],
        on_serving=lambda port: setattr(found, "port", port),
    )
    found.state = monitor.state
    task = asyncio.create_task(monitor.run(stop))
    try:
        await until(lambda: found.port != 0)
        yield found
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def stored(url: str) -> tuple[set[UUID], int]:
    """Ids of the results, and how many episodes there are."""
    engine = open_engine(url)
    try:
        async with engine.connect() as connection:
            ids = set((await connection.scalars(select(CheckResult.id))).all())
            return ids, (await connection.execute(select(func.count()).select_from(EpisodeRow))).scalar_one()
    finally:
        await engine.dispose()


async def test_a_database_that_is_away_for_a_while_costs_no_result_and_no_check(server: Server) -> None:
    await server.empty()
    async with watching(server.url) as found:
        await until(found.can_work)
        await found.goes_on()
        server.stop()
        await found.goes_on()
        await until(found.cannot_work)
        status, why = await found.told()
        assert status == 503
        assert "Results are not stored" in why
        await found.goes_on()
        server.start()
        await until(found.can_work)
        await found.goes_on()
    assert await stored(server.url) == ({run.id for run in found.runs}, len(CONTRACTS))


async def test_a_database_that_is_away_at_the_start_costs_no_result_and_no_check(server: Server) -> None:
    await server.empty()
    server.stop()
    async with watching(server.url) as found:
        assert (await found.told())[0] == 503
        await found.goes_on()
        server.start()
        await until(found.can_work)
        await until(lambda: found.runs[-1].fence is not None)
        await found.goes_on()
    assert await stored(server.url) == ({run.id for run in found.runs}, len(CONTRACTS))
    assert {run.fence for run in found.runs} == {None, 1}


async def test_what_another_replica_holds_is_left_to_it_after_an_outage_at_the_start(server: Server) -> None:
    await server.empty()
    engine, other = open_engine(server.url), UUID(int=1)
    await upgrade(engine)
    await register(engine, CONTRACTS, NOW)
    await hold(engine, other, HOUR, Known.of([one.id for one in CONTRACTS]))
    await engine.dispose()
    server.stop()
    async with watching(server.url) as found:
        await found.goes_on()
        server.start()
        await until(found.can_work)
    assert await stored(server.url) == (set(), 0)


async def test_a_monitor_without_its_database_stops_when_it_is_told_to(server: Server) -> None:
    server.stop()
    async with watching(server.url) as found:
        await found.goes_on()
    with pytest.raises((OSError, SQLAlchemyError)):
        await stored(server.url)
