"""The whole monitor in one process, over a real DuckDB file and a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces.alert_channel import (
    AlertChannelPlugin,
    ContractViolationEvent,
    ViolationSeverity,
)
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.quality import QualityCheck, QualityPlugin
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_core.telemetry import init_telemetry
from floe_monitor.contracts.directory import ContractDirectory, read_directory
from floe_monitor.contracts.model import Contract, QualityRule
from floe_monitor.probes.source import Source
from floe_monitor.service.monitor import Monitor, MonitorSettings
from floe_monitor.store.records import CheckRun
from floe_monitor.store.results import active_contracts
from floe_monitor.store.tables import EpisodeRow, SlaStatus, Violation
from monitor.tests.builders import HOUR, MINUTE, ORDERS, contract, quality_contract, schema_contract, until
from monitor.tests.sources import DOWN, HEALTHY, ToldCompute, duckdb_source, make_orders, told_source

pytestmark = pytest.mark.requirement("FR-001", "FR-005", "FR-033")
WATCHED = contract(freshness=2 * HOUR, availability=0.999)


class Inbox(AlertChannelPlugin):
    """A channel that keeps what it is told."""

    name = "inbox"
    version = "0.1.0"

    def __init__(self) -> None:
        super().__init__()
        self.events: list[ContractViolationEvent] = []

    async def send_alert(self, event: ContractViolationEvent) -> bool:
        self.events.append(event)
        return True

    def validate_config(self) -> list[str]:
        return []

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(event.violation_type.value, event.kind.value, event.severity.value) for event in self.events]


@dataclass
class Running:
    """A monitor that runs."""

    url: str
    inbox: Inbox
    monitor: Monitor
    runs: list[CheckRun] = field(default_factory=list)

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"{self.url}{path}")

    async def series(self) -> dict[str, float]:
        text = (await self.get("/metrics")).text
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in lines}

    def states(self, check: str) -> list[str]:
        return [run.verdict.status.value for run in self.runs if run.check.value == check]


@asynccontextmanager
async def watching(
    database: str, source: Source, *contracts: Contract, folder: ContractDirectory | None = None
) -> AsyncIterator[Running]:
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    inbox, runs = Inbox(), list[CheckRun]()
    monitor = Monitor(
        MonitorSettings(database, port=0, interval=timedelta(milliseconds=100), look_every=timedelta(milliseconds=20)),
        folder.read().contracts if folder else contracts or (WATCHED,),
        source,
        {"inbox": inbox},
        telemetry=lambda reader: init_telemetry("test", "0", metric_readers=(reader,), make_global=False),
        listeners=[runs.append],
        on_serving=port.set_result,
        changes=folder.changes if folder else lambda: None,
    )
    task = asyncio.create_task(monitor.run(stop))
    running = Running(f"http://127.0.0.1:{await asyncio.wait_for(port, 20)}", inbox, monitor, runs)
    try:
        yield running
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def rows(engine: AsyncEngine, table: type[Any]) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(select(*table.__table__.columns))).mappings()]


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    make_orders(path, age=5 * MINUTE)
    return path


@pytest.mark.requirement("FR-007", "FR-021", "FR-029", "FR-002")
async def test_a_table_becomes_stale_and_fresh_again_and_people_are_told_twice(
    database: str, engine: AsyncEngine, warehouse: Path
) -> None:
    async with watching(database, duckdb_source(warehouse)) as running:
        await until(lambda: "pass" in running.states("freshness"))
        assert running.inbox.events == []
        await asyncio.to_thread(_written, warehouse, 3 * HOUR)
        await until(lambda: len(running.inbox.events) == 1)
        await until(lambda: running.states("freshness").count("fail") >= 3)
        await asyncio.to_thread(_written, warehouse, MINUTE)
        await until(lambda: len(running.inbox.events) == 2)
        identity = str(WATCHED.id)
        series = await running.series()
        assert series[f'floe_contract_freshness_seconds{{contract="{identity}"}}'] < 120
        name = f'floe_contract_violations_total{{contract="{identity}",severity="error",type="freshness"}}'
        assert series[name] == running.states("freshness").count("fail")
    assert running.inbox.told == [("freshness", "opened", "error"), ("freshness", "resolved", "error")]
    [episode] = await rows(engine, EpisodeRow)
    assert episode["closed_at"] is not None
    assert len(await rows(engine, Violation)) == running.states("freshness").count("fail")
    assert {row["status"] for row in await rows(engine, SlaStatus)} == {"pass"}
    assert await active_contracts(engine) == (str(WATCHED.id),)


def _written(path: Path, age: timedelta) -> None:
    _writing(lambda: make_orders(path, age=age))


def _changed(path: Path, *statements: str) -> None:
    def change() -> None:
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)

    _writing(change)


def _writing(write: Callable[[], None]) -> None:
    """Writes as dbt does: again, if a reader has the file just now."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return write()
        except duckdb.Error as error:
            # Within one process DuckDB names another configuration where two processes would see a lock.
            if time.monotonic() > deadline or not {"lock", "configuration", "handle"} & set(str(error).split()):
                raise
        time.sleep(0.01)


@pytest.mark.requirement("FR-019", "FR-020", "FR-021")
async def test_a_source_that_is_down_is_one_alert_and_freshness_is_unknown_with_that_cause(
    database: str, engine: AsyncEngine
) -> None:
    compute = ToldCompute(rows=_fresh)
    async with watching(database, told_source(compute)) as running:
        await until(lambda: "pass" in running.states("freshness") and "pass" in running.states("availability"))
        compute.ping, compute.rows = (lambda: DOWN), _refuse
        await until(lambda: len(running.inbox.events) >= 1)
        await until(lambda: running.states("freshness")[-1] == "unknown")
        compute.ping, compute.rows = (lambda: HEALTHY), _fresh
        await until(lambda: "resolved" in {kind for _, kind, _ in running.inbox.told})
        unknown = next(run for run in running.runs if run.verdict.status == "unknown")
    assert "connection refused" in unknown.verdict.reason
    assert {kind for kind, _, _ in running.inbox.told} == {"availability"}
    assert len(await rows(engine, EpisodeRow)) == 1


def _fresh() -> list[tuple[Any, ...]]:
    now = datetime.now(UTC)
    return [(now, now)]


def _refuse() -> list[tuple[Any, ...]]:
    raise OSError("connection refused")


@pytest.mark.requirement("FR-005", "FR-033")
async def test_health_readiness_and_metrics_are_served(database: str, warehouse: Path) -> None:
    async with watching(database, duckdb_source(warehouse)) as running:
        assert (await running.get("/healthz")).json() == {"alive": True}
        await until(lambda: {"freshness", "availability"} <= {run.check.value for run in running.runs})
        ready = await running.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["contracts"] == 1
        assert set(ready.json()["last_checks"]) == {"freshness", "availability"}
        scrape = await running.get("/metrics")
    assert scrape.headers["Content-Type"].startswith("text/plain")
    families = {line.split()[2] for line in scrape.text.splitlines() if line.startswith("# TYPE")}
    assert {
        "floe_contract_violations_total",
        "floe_contract_freshness_seconds",
        "floe_contract_availability_ratio",
        "floe_contract_quality_score",
        "floe_contract_check_duration_seconds",
        "floe_monitor_check_drift_seconds",
        "floe_monitor_coverage_ratio",
    } <= families
    assert "otel_scope" not in scrape.text


@pytest.mark.requirement("HOUSE-12")
async def test_while_the_database_is_away_the_process_lives_and_says_what_it_cannot(warehouse: Path) -> None:
    nowhere = "postgresql://floe:hunter2@127.0.0.1:9/none"
    async with watching(nowhere, duckdb_source(warehouse)) as running:
        assert (await running.get("/healthz")).status_code == 200
        ready = await running.get("/readyz")
        assert ready.status_code == 503
        assert "Results are not stored" in ready.json()["cannot"][0]
        assert "hunter2" not in ready.text


async def test_a_monitor_without_contracts_idles(database: str, warehouse: Path) -> None:
    async with watching(database, duckdb_source(warehouse), contract(freshness=None)) as running:
        await until(lambda: _is_ready(running))
        assert running.runs == []


async def _is_ready(running: Running) -> bool:
    return (await running.get("/readyz")).status_code == 200


@pytest.mark.requirement("FR-004", "FR-029")
async def test_a_restart_goes_on_with_the_open_episode(database: str, engine: AsyncEngine, warehouse: Path) -> None:
    make_orders(warehouse, age=3 * HOUR)
    async with watching(database, duckdb_source(warehouse)) as first:
        await until(lambda: len(first.inbox.events) == 1)
    async with watching(database, duckdb_source(warehouse)) as second:
        await until(lambda: second.states("freshness").count("fail") >= 2)
        await asyncio.to_thread(_written, warehouse, MINUTE)
        await until(lambda: len(second.inbox.events) == 1)
    assert second.inbox.told == [("freshness", "resolved", "error")]
    assert len(await rows(engine, EpisodeRow)) == 1


@pytest.mark.requirement("FR-011", "FR-012", "FR-013", "FR-014")
async def test_a_changed_schema_is_one_episode_that_ends_when_it_is_reverted(
    database: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    warehouse = tmp_path / "w.duckdb"
    _changed(warehouse, "CREATE TABLE orders (id INTEGER, amount DECIMAL(10,2))")
    watched = schema_contract()
    async with watching(database, duckdb_source(warehouse), watched) as running:
        await until(lambda: "pass" in running.states("schema_drift"))
        await asyncio.to_thread(_changed, warehouse, "ALTER TABLE orders ALTER amount TYPE DOUBLE")
        await until(lambda: len(running.inbox.events) == 1)
        await asyncio.to_thread(_changed, warehouse, "ALTER TABLE orders DROP amount")
        await until(lambda: len(running.inbox.events) == 2)
        name = f'floe_contract_schema_differences{{contract="{watched.id}"}}'
        assert (await running.series())[name] == 1
        await asyncio.to_thread(_changed, warehouse, "ALTER TABLE orders ADD amount DECIMAL(10,2)")
        await until(lambda: len(running.inbox.events) == 3)
    assert running.inbox.told == [
        ("schema_drift", "opened", "error"),
        ("schema_drift", "escalated", "critical"),
        ("schema_drift", "resolved", "critical"),
    ]
    assert running.inbox.events[0].actual_value == "orders.amount: DOUBLE"
    assert len(await rows(engine, EpisodeRow)) == 1


@pytest.mark.requirement("FR-015", "FR-016", "FR-017", "FR-029")
async def test_a_broken_quality_rule_is_told_once_and_its_recovery_too(
    database: str, engine: AsyncEngine, tmp_path: Path
) -> None:
    warehouse = tmp_path / "w.duckdb"
    _changed(warehouse, "CREATE TABLE orders (id INTEGER)", "INSERT INTO orders VALUES (1), (2)")
    check = QualityCheck(
        name="orders.id: duplicateValues",
        type="duplicateValues",
        parameters={"metric": "duplicateValues", "operator": "mustBe", "bound": (0,), "columns": ("id",)},
    )
    watched = quality_contract(QualityRule(ORDERS, check, ViolationSeverity.ERROR))
    odcs: QualityPlugin = PluginRegistry().create(PluginKind.QUALITY, PluginChoice(type="odcs"))
    score = f'floe_contract_quality_score{{contract="{watched.id}"}}'
    async with watching(database, replace(duckdb_source(warehouse), quality=odcs), watched) as running:
        await until(lambda: "pass" in running.states("quality"))
        assert (await running.series())[score] == 100
        await asyncio.to_thread(_changed, warehouse, "INSERT INTO orders VALUES (2), (2)")
        await until(lambda: len(running.inbox.events) == 1)
        await until(lambda: running.states("quality").count("fail") >= 2)
        assert (await running.series())[score] == 50
        await asyncio.to_thread(_changed, warehouse, "DELETE FROM orders", "INSERT INTO orders VALUES (1)")
        await until(lambda: len(running.inbox.events) == 2)
    assert running.inbox.told == [("quality", "opened", "error"), ("quality", "resolved", "error")]
    assert (running.inbox.events[0].expected_value, running.inbox.events[0].actual_value) == ("exactly 0 rows", "2")
    assert len(await rows(engine, EpisodeRow)) == 1


@pytest.mark.requirement("FR-011", "FR-020")
async def test_while_the_warehouse_is_away_drift_is_unknown_with_that_cause(database: str, tmp_path: Path) -> None:
    async with watching(database, duckdb_source(tmp_path / "nowhere.duckdb"), schema_contract()) as running:
        await until(lambda: "unknown" in running.states("schema_drift"))
    assert "There is no file" in running.runs[0].verdict.reason
    assert running.inbox.events == []


@pytest.mark.requirement("FR-011", "FR-012")
async def test_the_examples_contract_is_kept_and_a_planted_drift_is_told(database: str, tmp_path: Path) -> None:
    warehouse = tmp_path / "w.duckdb"
    table = """CREATE TABLE orders (
        order_id INTEGER PRIMARY KEY, customer VARCHAR NOT NULL, amount DECIMAL(10,2) NOT NULL,
        ordered_on DATE NOT NULL, updated_at TIMESTAMPTZ NOT NULL)"""
    _changed(warehouse, table)
    [example] = read_directory(Path(__file__).parents[3] / "examples" / "contracts").contracts
    schema_only = replace(example, freshness=(), availability=None)
    async with watching(database, duckdb_source(warehouse), schema_only) as running:
        await until(lambda: "pass" in running.states("schema_drift"))
        assert running.inbox.events == []
        renamed = "ALTER TABLE orders RENAME COLUMN customer TO client"
        await asyncio.to_thread(_changed, warehouse, "DROP TABLE orders", table.replace("PRIMARY KEY", ""), renamed)
        await until(lambda: len(running.inbox.events) == 1)
    [told] = running.inbox.events
    assert told.severity == "critical"
    assert told.affected_consumers == ("finance-dashboard", "revenue-forecast")
    for part in ("orders.customer removed", "orders.client added", "orders constraint changed", "orders.order_id null"):
        assert part in told.message


FRESH_ORDERS = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: 1.0.0
status: active
servers: [{{server: w, type: duckdb, schema: main}}]
schema: [{{name: orders}}]
slaProperties: [{{property: freshness, value: {age}, element: orders}}]
"""


@pytest.mark.requirement("FR-004", "FR-044")
async def test_contracts_come_change_and_go_without_a_restart(
    database: str, engine: AsyncEngine, warehouse: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "contracts"
    folder.mkdir()

    def write(name: str, age: str) -> None:
        (folder / f"{name}.yaml").write_text(FRESH_ORDERS.format(name=name, age=age))

    def states(name: str) -> list[str]:
        return [run.verdict.status.value for run in running.runs if run.contract.id.contract == name]

    async def registered(*names: str) -> bool:
        return await active_contracts(engine) == tuple(f"default.default/{name}:1.0.0" for name in names)

    write("one", "PT1H")
    async with watching(database, duckdb_source(warehouse), folder=ContractDirectory(folder)) as running:
        await until(lambda: "pass" in states("one"))
        write("two", "PT1H")
        await until(lambda: "pass" in states("two"))
        write("one", "PT1M")
        await until(lambda: "fail" in states("one"))
        assert "fail" not in states("two")
        write("one", "soon")
        await until(lambda: _problems(running, 2))
        seen = len(states("one"))
        await until(lambda: states("one")[seen:].count("fail") >= 2)
        (folder / "one.yaml").unlink()
        await until(lambda: registered("two"))
        await until(lambda: _problems(running, 0))
        assert not any("default.default/one" in name for name in await running.series())
        seen = len(states("one"))
        await until(lambda: len(states("two")) >= 5)
        assert len(states("one")) <= seen + 1  # the run that went on
        write("one", "PT1M")
        await until(lambda: registered("one", "two"))
        await until(lambda: len(states("one")) > seen + 2)
        await until(lambda: len(running.inbox.told) == 3)
    assert [kind for _, kind, _ in running.inbox.told] == ["opened", "resolved", "opened"]
    ended, _ = sorted(await rows(engine, EpisodeRow), key=lambda episode: episode["opened_at"])
    assert ended["closed_reason"] == "The contract is not watched any more."


async def _problems(running: Running, count: int) -> bool:
    return len((await running.get("/readyz")).json()["problems"]) == count
