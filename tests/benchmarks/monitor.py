"""The monitor: how far checks start from their planned moments, and how soon an alert leaves, with results stored.

The whole monitor runs with its embedded PostgreSQL; only the probes are simulated, each one blocks a thread as a
warehouse's driver would. Runs alone with `python -m tests.benchmarks.monitor`.
"""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import psutil
from sqlalchemy import func, select

from floe_core.logging import configure_logging
from floe_core.plugin_interfaces.alert_channel import AlertChannelPlugin, ContractViolationEvent
from floe_core.plugin_interfaces.compute import (
    ComputeConfig,
    ComputePlugin,
    ConnectionResult,
    ConnectionStatus,
    ResourceSpec,
)
from floe_core.telemetry import init_telemetry
from floe_monitor.contracts.model import (
    AvailabilityPromise,
    Contract,
    ContractId,
    ContractTable,
    FreshnessPromise,
    TableLocation,
)
from floe_monitor.probes.source import Source
from floe_monitor.probes.workers import Workers
from floe_monitor.service.monitor import Monitor, MonitorSettings
from floe_monitor.store.database import open_engine
from floe_monitor.store.embedded import embedded_server
from floe_monitor.store.records import CheckRun
from floe_monitor.store.tables import CheckResult
from tests.benchmarks.report import Table, percentile

CONTRACTS = 100
INTERVAL = timedelta(seconds=1)
PROBE_SECONDS = 0.05
_STALE_EVERY = 10


class Simulated(ComputePlugin):
    """A warehouse that takes its time; every tenth table is stale."""

    name = "simulated"
    version = "0.1.0"
    is_self_hosted = True
    sql_dialect = "duckdb"

    def fetch_rows(self, config: ComputeConfig, sql: str, timeout_seconds: float) -> list[tuple[Any, ...]]:  # noqa: ARG002 - the interface
        """The newest row of a table, and the time."""
        time.sleep(PROBE_SECONDS)
        now = datetime.now(UTC)
        return [(now - timedelta(hours=3 if '_stale"' in sql else 0), now)]

    def validate_connection(self, config: ComputeConfig) -> ConnectionResult:  # noqa: ARG002 - the interface
        """Always there."""
        time.sleep(PROBE_SECONDS)
        return ConnectionResult(status=ConnectionStatus.HEALTHY, latency_ms=PROBE_SECONDS * 1000)

    def generate_dbt_profile(self, config: ComputeConfig) -> dict[str, Any]:  # noqa: ARG002 - the interface
        """Not used here."""
        return {}

    def get_required_dbt_packages(self) -> list[str]:
        """Not used here."""
        return []

    def get_resource_requirements(self, workload_size: Literal["small", "medium", "large"]) -> ResourceSpec:
        """Not used here."""
        raise NotImplementedError(workload_size)


class Clocked(AlertChannelPlugin):
    """A channel that notes how long after the check's start an alert arrives."""

    name = "clocked"
    version = "0.1.0"

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    async def send_alert(self, event: ContractViolationEvent) -> bool:
        """Takes it."""
        self.seconds.append((datetime.now(UTC) - event.timestamp).total_seconds())
        return True

    def validate_config(self) -> list[str]:
        """Nothing to configure."""
        return []


@dataclass(slots=True)
class Watched:
    """What a run of the monitor gave."""

    drifts: list[float] = field(default_factory=list)
    alerts: list[float] = field(default_factory=list)
    planned: int = 0
    stored: int = 0
    cpu_seconds: float = 0.0
    memory_mib: float = 0.0
    seconds: float = 0.0

    def note(self, run: CheckRun) -> None:
        """A check has ended."""
        self.drifts.append((run.checked_at - run.planned_at).total_seconds())


def contracts(count: int) -> list[Contract]:
    """Contracts with both checks."""
    made = []
    for number in range(count):
        name = f"table_{number}{'_stale' if number % _STALE_EVERY == 0 else ''}"
        table = ContractTable(name, TableLocation(name))
        made.append(
            Contract(
                ContractId.of("bench", "shop", name, "1.0.0"),
                (table,),
                (FreshnessPromise(table, timedelta(hours=2), "updated_at"),),
                AvailabilityPromise(0.999),
            )
        )
    return made


async def watch(url: str, *, seconds: float) -> Watched:
    """Watches for some seconds."""
    watched, channel, stop = Watched(seconds=seconds), Clocked(), asyncio.Event()
    source = Source("simulated", Simulated(), None, Workers(per_source=64), timedelta(seconds=5))
    ready = asyncio.Event()

    def note(run: CheckRun) -> None:
        watched.note(run)
        if len(watched.drifts) >= 2 * CONTRACTS:  # every check has run once: the start's burst is over
            ready.set()

    monitor = Monitor(
        MonitorSettings(url, port=0, interval=INTERVAL),
        contracts(CONTRACTS),
        source,
        {"clocked": channel},
        telemetry=lambda reader: init_telemetry("bench", "0", metric_readers=(reader,), make_global=False),
        listeners=[note],
    )
    task = asyncio.create_task(monitor.run(stop))
    await ready.wait()
    begun = len(watched.drifts)
    process = psutil.Process()
    before, started = process.cpu_times(), time.monotonic()
    await asyncio.sleep(seconds)
    after, elapsed = process.cpu_times(), time.monotonic() - started
    watched.drifts = watched.drifts[begun:]
    watched.planned = round(2 * CONTRACTS * elapsed / INTERVAL.total_seconds())
    watched.cpu_seconds = (after.user + after.system) - (before.user + before.system)
    watched.memory_mib = process.memory_info().rss / 1024 / 1024
    stop.set()
    await task
    watched.alerts = channel.seconds
    engine = open_engine(url)
    async with engine.connect() as connection:
        watched.stored = await connection.scalar(select(func.count()).select_from(CheckResult)) or 0
    await engine.dispose()
    return watched


def measure(quick: bool) -> Sequence[Table]:
    """Drift and alert delay of one monitor."""
    configure_logging("warning", "console")
    with tempfile.TemporaryDirectory(prefix="floe-bench-") as folder, embedded_server(Path(folder)) as server:
        watched = asyncio.run(watch(server.url, seconds=2.0 if quick else 10.0))
    drifts = [drift * 1000 for drift in watched.drifts]
    interval_ms = INTERVAL.total_seconds() * 1000
    rows = (
        ("checks run / planned", f"{len(drifts)} / {watched.planned}"),
        ("start - planned, p50", f"{percentile(drifts, 0.5):.1f} ms"),
        ("start - planned, p99", f"{percentile(drifts, 0.99):.1f} ms"),
        ("start - planned, largest", f"{max(drifts):.1f} ms"),
        ("p99 as share of the interval (budget 10 %)", f"{percentile(drifts, 0.99) / interval_ms:.1%}"),
        ("alert sent after its check began, p50 / largest", _alerts(watched.alerts)),
        ("CPU", f"{watched.cpu_seconds / watched.seconds:.2f} cores, {_per_check(watched):.2f} ms a check"),
        ("resident memory, with this benchmark", f"{watched.memory_mib:.0f} MiB"),
        ("results stored", str(watched.stored)),
    )
    note = (
        f"Freshness and availability of each contract every {INTERVAL.total_seconds():g} s, probes that block "
        f"{PROBE_SECONDS * 1000:g} ms in threads, results in the embedded "
        f"PostgreSQL, measured for {watched.seconds:g} s."
    )
    return [Table(f"Monitor: {CONTRACTS} contracts", ("what", "figure"), rows, (note,))]


def _alerts(seconds: Sequence[float]) -> str:
    return f"{percentile(seconds, 0.5) * 1000:.0f} ms / {max(seconds) * 1000:.0f} ms, {len(seconds)} alerts"


def _per_check(watched: Watched) -> float:
    return watched.cpu_seconds / max(1, len(watched.drifts)) * 1000


if __name__ == "__main__":
    for table in measure(quick=False):
        print(table.markdown())  # noqa: T201 - what was asked for
