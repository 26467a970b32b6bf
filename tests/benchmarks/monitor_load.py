"""The monitor under load: thousands of contracts with all four checks, results in PostgreSQL, lineage and metrics on.

Only the probes are simulated: each call blocks a thread for 50 ms, as a warehouse's driver would. Lineage events are
made and serialised, and not sent. With `--outage` the database is stopped meanwhile. Runs by hand:
`python -m tests.benchmarks.monitor_load --contracts 10000 --seconds 900`.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde
from sqlalchemy import func, select

from floe_core.logging import configure_logging
from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity
from floe_core.plugin_interfaces.catalog import CatalogPlugin, Table
from floe_core.plugin_interfaces.catalog import Column as CatalogColumn
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.quality import QualityCheck
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_core.telemetry import init_telemetry
from floe_monitor.contracts.model import (
    AvailabilityPromise,
    Column,
    Contract,
    ContractId,
    ContractTable,
    FreshnessPromise,
    QualityRule,
    TableLocation,
)
from floe_monitor.probes.source import Source
from floe_monitor.probes.workers import Workers
from floe_monitor.service.monitor import Monitor, MonitorSettings
from floe_monitor.store.database import open_engine
from floe_monitor.store.embedded import EmbeddedServer, embedded_server
from floe_monitor.store.records import CheckRun
from floe_monitor.store.tables import CheckResult
from tests.benchmarks import report
from tests.benchmarks.monitor import PROBE_SECONDS, Simulated
from tests.benchmarks.report import percentile

_CHECKS: Final = 4
_MIB: Final = 1024 * 1024


class SimulatedCatalog(CatalogPlugin):
    """A catalog that takes its time."""

    name = "simulated"
    version = "0.1.0"

    def connect(self, config: Mapping[str, Any]) -> "SimulatedCatalog":  # noqa: ARG002 - the interface
        """Itself."""
        return self

    def load_table(self, identifier: str) -> Table:
        """Two columns, as promised."""
        time.sleep(PROBE_SECONDS)
        columns = (CatalogColumn(name="id", type="integer"), CatalogColumn(name="updated_at", type="timestamp"))
        return Table(identifier=identifier, columns=columns)

    def close(self) -> None:
        """Nothing to close."""

    def create_namespace(self, namespace: str, properties: Mapping[str, str] | None = None) -> None:
        """Not used here."""
        raise NotImplementedError(namespace)

    def list_namespaces(self, parent: str | None = None) -> list[str]:  # noqa: ARG002 - the interface
        """Not used here."""
        return []

    def delete_namespace(self, namespace: str) -> None:
        """Not used here."""
        raise NotImplementedError(namespace)

    def create_table(
        self,
        identifier: str,
        columns: tuple[CatalogColumn, ...],
        location: str | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Not used here."""
        raise NotImplementedError(identifier)

    def list_tables(self, namespace: str) -> list[str]:  # noqa: ARG002 - the interface
        """Not used here."""
        return []

    def drop_table(self, identifier: str, *, purge: bool = False) -> None:
        """Not used here."""
        raise NotImplementedError(identifier)

    def vend_credentials(self, table_path: str, operations: list[str]) -> dict[str, str]:  # noqa: ARG002 - the interface
        """Not used here."""
        return {}


class Counting(Simulated):
    """A warehouse that also counts rows."""

    def fetch_rows(self, config: Any, sql: str, timeout_seconds: float) -> list[tuple[Any, ...]]:
        """One row: of counts, or the newest row and the time."""
        if "CURRENT_TIMESTAMP" in sql:
            return super().fetch_rows(config, sql, timeout_seconds)
        time.sleep(PROBE_SECONDS)
        return [(1000,) * max(1, sql.upper().count(" AS "))]


@dataclass(slots=True)
class Observed:
    """What a run of the monitor gave.

    Attributes:
        checks: How many checks there are.
    """

    checks: int
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)
    keys: set[str] = field(default_factory=set)
    begins: list[tuple[float, float]] = field(default_factory=list)  # monotonic time, seconds after the planned moment
    results: int = 0
    events: int = 0
    event_bytes: int = 0
    memory: list[float] = field(default_factory=list)

    def note(self, run: CheckRun) -> None:
        """A check has ended."""
        self.results += 1
        if not self.all_begun.is_set():
            self.keys.add(run.key)
            if len(self.keys) == self.checks:
                self.all_begun.set()
        self.begins.append((run.begun, (run.checked_at - run.planned_at).total_seconds()))

    def emit(self, event: RunEvent) -> None:
        """An event leaves; a backend beside the monitor would take it from here."""
        self.events += 1
        self.event_bytes += len(Serde.to_json(event))


def contracts(count: int) -> list[Contract]:
    """Contracts with all four checks, all kept."""
    made = []
    for number in range(count):
        name = f"table_{number}"
        columns = (Column("id", "id", "integer"), Column("updated_at", "updated_at", "timestamp"))
        table = ContractTable(name, TableLocation(name), columns=columns)
        counted = {"metric": "rowCount", "operator": "mustBeGreaterThan", "bound": (0,), "columns": ()}
        rule = QualityCheck(name=f"{name}: rowCount", type="rowCount", parameters=counted)
        made.append(
            Contract(
                ContractId.of("bench", "shop", name, "1.0.0"),
                (table,),
                (FreshnessPromise(table, timedelta(hours=2), "updated_at"),),
                AvailabilityPromise(0.999),
                (QualityRule(table, rule, ViolationSeverity.ERROR),),
                document={"id": name},
            )
        )
    return made


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked for."""

    contracts: int
    interval: timedelta
    seconds: float
    outage: float = 0.0

    @property
    def rate(self) -> float:
        """Planned starts a second."""
        return _CHECKS * self.contracts / self.interval.total_seconds()


async def watch(folder: Path, load: Load) -> list[tuple[str, str]]:
    """Watches for the time that is asked for, from when every check has run once."""
    observed, stop, running = Observed(_CHECKS * load.contracts), asyncio.Event(), ExitStack()
    server = running.enter_context(embedded_server(folder))
    quality = PluginRegistry().create(PluginKind.QUALITY, PluginChoice(type="odcs"))
    workers = Workers(per_source=max(16, round(load.rate * PROBE_SECONDS * 4)))
    source = Source("simulated", Counting(), SimulatedCatalog(), workers, timedelta(seconds=30), quality=quality)
    ports: list[int] = []
    monitor = Monitor(
        MonitorSettings(server.url, port=0, interval=load.interval),
        contracts(load.contracts),
        source,
        {},
        telemetry=lambda reader: init_telemetry("bench", "0", metric_readers=(reader,), make_global=False),
        emit_lineage=observed.emit,
        listeners=[observed.note],
        on_serving=ports.append,
    )
    begun = time.monotonic()
    task = asyncio.create_task(monitor.run(stop))
    await observed.all_begun.wait()
    started_after = time.monotonic() - begun
    rows = await _measure(observed, load, server, running, ports[0])
    stop.set()
    await task
    stored = await _stored(server)
    running.close()
    lost = observed.results - stored
    rows += [
        ("every check has run once after", f"{started_after:.1f} s"),
        ("results found / stored / lost", f"{observed.results:,} / {stored:,} / {lost:,}"),
        ("lineage events, made and serialised", f"{observed.events:,}, {observed.event_bytes / _MIB:.0f} MiB"),
    ]
    return rows


async def _measure(
    observed: Observed, load: Load, server: EmbeddedServer, running: ExitStack, port: int
) -> list[tuple[str, str]]:
    process, database = psutil.Process(), psutil.Process(server.pid)
    before, database_before = _cpu(process), _cpu_of_tree(database)
    started, scrapes, database_cpu = time.monotonic(), list[float](), 0.0
    outage_at = started + load.seconds / 4 if load.outage else float("inf")
    while (now := time.monotonic()) < started + load.seconds:
        await asyncio.sleep(min(5.0, started + load.seconds - now))
        observed.memory.append(process.memory_info().rss / _MIB)
        if time.monotonic() >= outage_at:
            outage_at = float("inf")
            database_cpu += _cpu_of_tree(database) - database_before
            database = await _outage(load.outage, server.directory, running, observed, process)
            database_before = _cpu_of_tree(database)
        scrapes.append(await _scrape(port))
    elapsed = time.monotonic() - started
    cpu = _cpu(process) - before
    database_cpu += _cpu_of_tree(database) - database_before
    drifts = [drift for at, drift in observed.begins if at >= started]
    planned = load.rate * elapsed
    return [
        ("checks planned / begun", f"{planned:,.0f} / {len(drifts):,}"),
        ("start - planned, p50 / p99 / largest", " / ".join(f"{at:.3f} s" for at in _quantiles(drifts))),
        ("CPU of the monitor", f"{cpu / elapsed:.2f} cores, {cpu / max(1, len(drifts)) * 1000:.2f} ms a check"),
        ("CPU of PostgreSQL", f"{database_cpu / elapsed:.2f} cores"),
        ("resident memory, after 5 s / largest / at the end", _memory(observed.memory)),
        ("slowest of the scrapes, every 5 s", f"{max(scrapes):.2f} s"),
        ("load average of the machine (1 minute)", f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"),
    ]


def _quantiles(drifts: list[float]) -> tuple[float, float, float]:
    return percentile(drifts, 0.5), percentile(drifts, 0.99), max(drifts)


def _memory(mib: list[float]) -> str:
    return f"{mib[0]:.0f} / {max(mib):.0f} / {mib[-1]:.0f} MiB"


async def _outage(
    seconds: float, folder: Path, running: ExitStack, observed: Observed, process: psutil.Process
) -> psutil.Process:
    await asyncio.to_thread(running.close)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await asyncio.sleep(min(5.0, max(0.0, end - time.monotonic())))
        observed.memory.append(process.memory_info().rss / _MIB)
    return psutil.Process(running.enter_context(embedded_server(folder)).pid)


async def _scrape(port: int) -> float:
    begin = time.perf_counter()
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    answer.raise_for_status()
    return time.perf_counter() - begin


async def _stored(server: EmbeddedServer) -> int:
    engine = open_engine(server.url, statement_seconds=600)
    try:
        async with engine.connect() as connection:
            return (await connection.execute(select(func.count()).select_from(CheckResult))).scalar_one()
    finally:
        await engine.dispose()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _cpu_of_tree(process: psutil.Process) -> float:
    """The postmaster counts its ended children among its own."""
    times = process.cpu_times()
    ended = times.children_user + times.children_system
    return ended + _cpu(process) + sum(_cpu(child) for child in process.children())


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.monitor_load")
    parser.add_argument("--contracts", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between two runs of one check")
    parser.add_argument("--seconds", type=float, default=900.0, help="how long is measured")
    parser.add_argument("--outage", type=float, default=0.0, help="seconds without the database, a quarter in")
    options = parser.parse_args()
    load = Load(options.contracts, timedelta(seconds=options.interval), options.seconds, options.outage)
    configure_logging("warning", "console")
    with tempfile.TemporaryDirectory(prefix="floe-bench-") as folder:
        rows = asyncio.run(watch(Path(folder), load))
    title = f"Monitor under load: {load.contracts:,} contracts × {_CHECKS} checks at {options.interval:g} s"
    note = f"{load.rate:,.0f} starts a second, probes of {PROBE_SECONDS * 1000:g} ms, measured for {load.seconds:g} s."
    if load.outage:
        note += f" PostgreSQL was stopped for {load.outage:g} s."
    print(report.Table(title, ("what", "figure"), tuple(rows), (note,)).markdown())  # noqa: T201 - what was asked for


if __name__ == "__main__":
    main()
