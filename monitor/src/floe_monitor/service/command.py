"""`floe monitor run`: reads manifest and contracts, starts the embedded database if none is given, watches."""

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import structlog
from rich.console import Console

from floe_core.errors import ConfigurationError, Location
from floe_core.logging import configure_logging
from floe_core.manifest.loading import load_manifest
from floe_core.manifest.models import Manifest
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_core.telemetry import init_telemetry
from floe_monitor.contracts.directory import ContractDirectory, ReadContracts
from floe_monitor.service.monitor import SERVICE_NAME, Monitor, MonitorSettings
from floe_monitor.service.reporter import Reporter
from floe_monitor.service.wiring import create_plugins
from floe_monitor.store.embedded import default_directory, embedded_server

_log = structlog.get_logger(__name__)
_VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command's options."""

    manifest: Path
    contracts: Path
    database_url: str | None = field(default=None, repr=False)
    data_dir: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8080
    environment: str | None = None
    interval_seconds: float | None = None
    otlp_endpoint: str | None = None
    lineage_url: str | None = None
    api_token_file: Path | None = None
    quiet: bool = False


def watch(arguments: Arguments) -> None:
    """Runs until SIGTERM or SIGINT; then stops cleanly, the embedded database included.

    Raises:
        FloeError: Something that it is told is wrong, or the database cannot be started.
    """
    manifest = load_manifest(arguments.manifest)
    configure_logging(manifest.logging.level, manifest.logging.format)
    if not manifest.monitoring.enabled:
        raise ConfigurationError(
            "Monitoring is switched off.",
            where=Location(str(arguments.manifest), path="monitoring.enabled"),
            remedy="Set it to true.",
        )
    console = Console(highlight=False, soft_wrap=True, quiet=arguments.quiet)
    directory = ContractDirectory(arguments.contracts, environment=arguments.environment)
    found = directory.read()
    for error in found.errors:
        _log.error("contract.unreadable", reason=str(error))
    with _interruptible(), _database(arguments, console) as url:
        asyncio.run(_run(arguments, manifest, directory, found, url=url, console=console))
    console.print("The monitor has stopped.")


@contextmanager
def _database(arguments: Arguments, console: Console) -> Iterator[str]:
    if arguments.database_url:
        yield arguments.database_url
        return
    directory = arguments.data_dir or default_directory()
    with embedded_server(directory) as server:
        console.print(f"Embedded PostgreSQL, data in {server.directory}")
        yield server.url


@contextmanager
def _interruptible() -> Iterator[None]:
    """A SIGTERM before the loop runs ends the process through its `finally` blocks, as Ctrl-C does."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _run(
    arguments: Arguments,
    manifest: Manifest,
    directory: ContractDirectory,
    found: ReadContracts,
    *,
    url: str,
    console: Console,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for asked in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(asked, stop.set)
    plugins = create_plugins(
        manifest, PluginRegistry(), terminal=not arguments.quiet, lineage_relay=arguments.lineage_url
    )
    interval = arguments.interval_seconds
    monitor = Monitor(
        MonitorSettings(
            database_url=url,
            monitoring=manifest.monitoring,
            host=arguments.host,
            port=arguments.port,
            interval=timedelta(seconds=interval) if interval else None,
            environment=arguments.environment,
            api_token_file=arguments.api_token_file,
        ),
        found.contracts,
        plugins.source,
        plugins.channels,
        telemetry=lambda reader: init_telemetry(
            SERVICE_NAME, _VERSION, arguments.otlp_endpoint, metric_readers=(reader,)
        ),
        emit_lineage=plugins.emit_lineage,
        listeners=[Reporter(console)],
        on_serving=lambda port: _announce(console, found, arguments.host, port),
        problems=found.problems,
        changes=directory.changes,
    )
    await monitor.run(stop)


def _announce(console: Console, found: ReadContracts, host: str, port: int) -> None:
    if console.quiet:
        _log.info("monitor.serving", host=host, port=port, contracts=len(found.contracts))
        for contract in found.contracts:
            for remark in contract.remarks:
                _log.info("contract.remark", contract=str(contract.id), remark=remark)
        return
    console.print(f"Watching {len(found.contracts)} contract(s); http://{host}:{port}/metrics /healthz /readyz")
    for contract in found.contracts:
        for remark in contract.remarks:
            console.print(f"  {contract.id}: {remark}")
    sys.stdout.flush()
