"""Contracts that are registered with a running monitor, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from floe_core.telemetry import init_telemetry
from floe_monitor.contracts.directory import ContractDirectory
from floe_monitor.service.monitor import Monitor, MonitorSettings
from floe_monitor.store.records import CheckRun
from monitor.tests.builders import HOUR, NOW, until
from monitor.tests.service.test_api import text
from monitor.tests.sources import ToldCompute, told_source

pytestmark = pytest.mark.requirement("FR-004", "HOUSE-11")
LEASE = timedelta(seconds=1)


@dataclass
class Replica:
    """A monitor with an API; every table that it looks at is stale."""

    http: httpx.AsyncClient
    runs: list[CheckRun] = field(default_factory=list)

    async def register(self, contract: str) -> int:
        answer = await self.http.post(
            "/api/v1/contracts", content=contract, headers={"Content-Type": "application/yaml"}
        )
        return answer.status_code

    async def ready(self) -> dict[str, object]:
        found: dict[str, object] = (await self.http.get("/readyz")).json()
        return found

    def watched(self) -> set[str]:
        return {run.contract.id.contract for run in self.runs}


@asynccontextmanager
async def replica(
    database: str, folder: Path, *, look_every: timedelta = timedelta(milliseconds=20)
) -> AsyncIterator[Replica]:
    (folder / "token").write_text("s3cret")
    directory = ContractDirectory(folder)
    found = directory.read()
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    runs: list[CheckRun] = []
    monitor = Monitor(
        MonitorSettings(
            database,
            port=0,
            interval=timedelta(milliseconds=100),
            look_every=look_every,
            lease=LEASE,
            api_token_file=folder / "token",
        ),
        found.contracts,
        told_source(ToldCompute(rows=lambda: [(NOW - 9 * HOUR, NOW)])),
        {},
        telemetry=lambda reader: init_telemetry("test", "0", metric_readers=(reader,), make_global=False),
        listeners=[runs.append],
        on_serving=port.set_result,
        changes=directory.changes,
        problems=found.problems,
    )
    task = asyncio.create_task(monitor.run(stop))
    url = f"http://127.0.0.1:{await asyncio.wait_for(port, 20)}"
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": "Bearer s3cret"}) as http:
        try:
            await until(lambda: _is_ready(http))
            yield Replica(http, runs)
        finally:
            stop.set()
            await asyncio.wait_for(task, 30)


async def _is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == httpx.codes.OK


async def test_a_registered_contract_is_watched_across_a_restart_until_it_is_unregistered(
    database: str, tmp_path: Path
) -> None:
    async with replica(database, tmp_path) as first:
        assert await first.register(text(name="one")) == 201
        await until(lambda: "one" in first.watched())
    async with replica(database, tmp_path) as second:
        await until(lambda: "one" in second.watched())
        ran = await second.http.post("/api/v1/contracts/sales.shop/one:1.0.0/checks/freshness/run")
        assert (ran.status_code, ran.json()["status"]) == (200, "error")  # no timestamp column was found
        assert (await second.http.delete("/api/v1/contracts/sales.shop/one:1.0.0")).status_code == 204
        await until(lambda: _knows(second, 0))
        seen = len(second.runs)
        assert await second.register(text(name="two")) == 201
        await until(lambda: "two" in second.watched())
        assert len([run for run in second.runs[seen:] if run.contract.id.contract == "one"]) <= 1  # went on


async def test_what_is_registered_here_is_watched_before_the_next_look(database: str, tmp_path: Path) -> None:
    async with replica(database, tmp_path, look_every=HOUR) as running:
        assert await running.register(text(name="one")) == 201
        await until(lambda: "one" in running.watched())
        assert (await running.http.delete("/api/v1/contracts/sales.shop/one:1.0.0")).status_code == 204
        await until(lambda: _knows(running, 0))


async def test_every_replica_knows_a_contract_within_a_look_wherever_it_was_registered(
    database: str, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(replica(database, tmp_path))
        other = await stack.enter_async_context(replica(database, tmp_path))
        for number in range(4):
            assert await (one, other)[number % 2].register(text(name=f"c{number}")) == 201
        await until(lambda: _knows(one, 4))
        await until(lambda: _knows(other, 4))
        await until(lambda: one.watched() | other.watched() == {f"c{number}" for number in range(4)})


async def test_where_a_file_and_a_registration_have_one_version_the_file_holds_and_readiness_says_so(
    database: str, tmp_path: Path
) -> None:
    async with replica(database, tmp_path) as running:
        assert await running.register(text(name="one", age="PT6H")) == 201
        await asyncio.to_thread((tmp_path / "one.yaml").write_text, text(name="one", age="PT1H"))
        await until(lambda: _promises(running, HOUR))
        await until(lambda: _tells(running, "the file holds"))
        await asyncio.to_thread((tmp_path / "one.yaml").unlink)
        await until(lambda: _promises(running, 6 * HOUR))


async def _knows(running: Replica, contracts: int) -> bool:
    return (await running.ready())["contracts"] == contracts


async def _tells(running: Replica, sentence: str) -> bool:
    return sentence in str((await running.ready())["problems"])


def _promises(running: Replica, age: timedelta) -> bool:
    return bool(running.runs) and running.runs[-1].contract.freshness[0].threshold == age
