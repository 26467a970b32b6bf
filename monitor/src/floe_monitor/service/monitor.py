"""The monitor's life: open the store, restore what is remembered, run the loops, stop in order.

    leases ──> schedule ──runs──> runner ──> recorder ──> store ──> dispatcher ──> channels
                                     └─────> metrics, lineage, terminal

At the end the schedule stops first, then what was found is stored and the leases are given back, then what was stored
is sent once more. A store that is away, at the start or later, ends no check: what is found waits for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog
from openlineage.client.event_v2 import RunEvent
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy.exc import SQLAlchemyError

from floe_core.errors import FloeError
from floe_core.manifest.models import Monitoring
from floe_core.plugin_interfaces.alert_channel import AlertChannelPlugin, ViolationType
from floe_core.telemetry import shutdown_telemetry
from floe_monitor.alerts.dispatcher import Dispatcher
from floe_monitor.contracts.directory import ReadContracts
from floe_monitor.contracts.model import Contract
from floe_monitor.probes.source import Source
from floe_monitor.schedule.loop import Schedule
from floe_monitor.service.api import ContractApi
from floe_monitor.service.bearer import BearerTokens
from floe_monitor.service.exposition import Exposition
from floe_monitor.service.housekeeping import DUTY_SECONDS, Housekeeping
from floe_monitor.service.keeper import Keeper
from floe_monitor.service.lineage import LineageEmitter
from floe_monitor.service.metrics import MonitorMetrics
from floe_monitor.service.openapi import openapi_document
from floe_monitor.service.recorder import Recorder
from floe_monitor.service.registry import Registry
from floe_monitor.service.roster import Roster
from floe_monitor.service.runner import Runner
from floe_monitor.service.state import ServiceState
from floe_monitor.service.watches import holds_for
from floe_monitor.service.web import application, serving
from floe_monitor.store.database import open_engine, upgrade
from floe_monitor.store.partitions import make_ahead
from floe_monitor.store.records import CheckRun

_log = structlog.get_logger(__name__)
SERVICE_NAME: Final = "floe-contract-monitor"
_VERSION: Final = version("floe-monitor")
_RETRY_STORE = timedelta(seconds=2)
_DRAIN = timedelta(seconds=5)
# Longest time that results of an outage at the start are stored before their contracts are watched again.
_CATCH_UP = timedelta(minutes=10)
_LINEAGE_DRAIN = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """What a monitor is told.

    Attributes:
        database_url: PostgreSQL.
        interval: Overrides the interval of every check; for demonstrations and tests.
        look_every: How often the contracts are looked at for changes.
        lease: How long other replicas wait before they take over what this one watched, should it be killed.
        port: 0 means any free one.
        environment: Chooses the server in each registered contract.
        api_token_file: Tokens of the registry's API, one a line; None switches the API off.
    """

    database_url: str = field(repr=False)
    monitoring: Monitoring = field(default_factory=Monitoring)
    host: str = "127.0.0.1"
    port: int = 8080
    interval: timedelta | None = None
    look_every: timedelta = timedelta(seconds=2)
    lease: timedelta = timedelta(seconds=15)
    environment: str | None = None
    api_token_file: Path | None = None


class Monitor:
    """Watches contracts on one source.

    Args:
        settings: What it is told.
        contracts: What it watches from its directory; what is registered comes from the database.
        source: Where their tables are.
        channels: Alert channels by name.
        emit_lineage: Sends one OpenLineage event (blocks, may raise); None if nobody wants lineage.
        listeners: Called with each run beside the monitor's own; they must not block.
        on_serving: Called with the port when HTTP is served.
        telemetry: Makes the providers of spans and metrics, given the reader of the scrape.
        problems: What a person should mend; shown by `/readyz`.
        changes: The contracts anew if they have changed; blocks.
    """

    def __init__(
        self,
        settings: MonitorSettings,
        contracts: Sequence[Contract],
        source: Source,
        channels: dict[str, AlertChannelPlugin],
        *,
        telemetry: Callable[[MetricReader], tuple[TracerProvider, MeterProvider]],
        emit_lineage: Callable[[RunEvent], object] | None = None,
        listeners: Sequence[Callable[[CheckRun], None]] = (),
        on_serving: Callable[[int], None] = lambda _port: None,
        problems: Sequence[str] = (),
        changes: Callable[[], ReadContracts | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._on_serving = on_serving
        self._exposition = Exposition(lambda: self._metrics.active)
        self._providers = telemetry(self._exposition.reader)
        tracers, meters = self._providers
        self._metrics = MonitorMetrics(
            meters.get_meter("floe_monitor"), histograms_up_to=settings.monitoring.contract_histograms_up_to
        )
        self._changes = changes
        self._directory_problems = list(problems)
        self._engine = open_engine(settings.database_url)
        self._registry = Registry(self._engine, settings.environment, tuple(contracts), frozenset(channels))
        self._dispatcher = Dispatcher(self._engine, channels, self._metrics)
        self._recorder = Recorder(self._engine, self._metrics, on_stored=self._dispatcher.wake)
        self._schedule = Schedule(self._metrics)
        self.state = ServiceState(contracts=len(contracts), problems=list(problems))
        self._metrics.observe("floe_monitor_results_waiting", lambda: [Observation(self._recorder.waiting)])
        self._metrics.observe(
            "floe_monitor_abandoned_calls",
            lambda: [Observation(source.workers.abandoned(source.name), {"source": source.name})],
        )
        dropped, name_of = self._metrics.lineage_dropped, source.dataset_name
        self._lineage = LineageEmitter(emit_lineage, dropped, name_of) if emit_lineage else None
        lineage = [self._lineage] if self._lineage else []
        self._runner = Runner(
            settings.monitoring,
            tuple(channels),
            tracers.get_tracer("floe_monitor"),
            (self._recorder.put, self._metrics.checked, self.state.checked, *lineage, *listeners),
        )
        self._roster = Roster(
            self._engine,
            self._schedule,
            self._runner,
            source,
            metrics=self._metrics,
            monitoring=settings.monitoring,
            interval=settings.interval,
        )
        self._keeper = Keeper(self._engine, self._roster, self._recorder.drain, settings.lease, settings.lease / 3)
        self._housekeeping = Housekeeping(
            open_engine(settings.database_url, pool_size=1, statement_seconds=DUTY_SECONDS),
            self._keeper.replica,
            self._metrics,
            keep=timedelta(days=settings.monitoring.retention_days),
            holds_for=holds_for(timedelta(minutes=settings.monitoring.check_intervals.availability_minutes)),
        )
        self._adopted, self._is_open = asyncio.Event(), asyncio.Event()
        self._refusal: FloeError | None = None
        self._metrics.observe("floe_monitor_replicas", lambda: [Observation(self._keeper.share.replicas)])

    async def run(self, stop: asyncio.Event) -> None:
        """Watches until told to stop."""
        app = application(self.state, self._exposition)
        if self._settings.api_token_file is not None:
            tokens = BearerTokens(self._settings.api_token_file)
            ContractApi(self._engine, self._registry, tokens, self.run_now, openapi_document(_VERSION)).add_to(app)
        try:
            async with serving(app, self._settings.host, self._settings.port) as port:
                self._on_serving(port)
                await self._watch(stop)
        finally:
            await self._engine.dispose()
            await self._housekeeping.engine.dispose()
            await asyncio.to_thread(shutdown_telemetry, *self._providers)

    async def run_now(self, contract: str, check: ViolationType) -> CheckRun:
        """One check of a contract now, in any mode; its result is stored and told like every other.

        Raises:
            ValidationError, WatchedElsewhereError: See `Roster.run_now`.
        """
        return await self._roster.run_now(contract, check)

    async def _open(self, stop: asyncio.Event) -> None:
        """Brings the store into use, as often as it takes; meanwhile everything is watched without it."""
        try:
            while True:
                if await self._open_store():
                    break
                await asyncio.sleep(_RETRY_STORE.total_seconds())
        except FloeError as error:
            self._refusal = error
            stop.set()
            return
        self._adopted.set()
        # What is remembered of a contract is read from the store, so all that is known has to be there.
        async with self._keeper.renewing():
            await self._recorder.drain(_CATCH_UP)
        self._is_open.set()

    async def _open_store(self) -> bool:
        """Migrates and takes what this replica may watch; false if the store is away.

        Raises:
            ConfigurationError: This version cannot work on the database.
        """
        try:
            await upgrade(self._engine)
            await make_ahead(self._engine, datetime.now(UTC))
            await self._registry.look()
            await self._roster.end_unstored()
            await self._take_known()
            self._recorder.adopt((await self._keeper.ask()).fences)
        except (SQLAlchemyError, OSError) as error:
            _log.warning("store.unreachable", reason=type(error).__name__)
            self.state.store_failure = partial(str, type(error).__name__)
            await self._roster.watch_unstored(self._registry.together())
            return False
        self.state.store_failure = lambda: self._recorder.failure
        return True

    async def _take_known(self) -> None:
        contracts = self._registry.together()
        await self._roster.take(contracts)
        self.state.contracts, self.state.problems = len(contracts), self._problems

    async def _reload(self, changes: Callable[[], ReadContracts | None]) -> None:
        """Follows directory and registry; what cannot be read, or not be stored now, is tried at the next look."""
        is_due = False
        while True:
            await self._registry.pause(self._settings.look_every)
            try:
                if (found := await asyncio.to_thread(changes)) is not None:
                    self._registry.directory, self._directory_problems, is_due = found.contracts, found.problems, True
                is_due = await self._registry.look() or is_due
                if is_due:
                    await self._take_known()
                    await self._keeper.once()
                    _log.info("contracts.read", contracts=self.state.contracts, problems=self._problems)
                is_due, self.state.problems = False, self._problems
            except FloeError as error:
                self.state.problems = [*self._problems, str(error)]
            except (SQLAlchemyError, OSError) as error:
                # Once, not at every look: the recorder and `/readyz` tell how long the database is away.
                if self.state.store_failure() is None:
                    _log.warning("contracts.not_taken", reason=type(error).__name__)
            except Exception as error:  # noqa: BLE001 - the outermost edge of this loop: no file ends the watching
                self.state.problems = [
                    *self._problems,
                    f"The contracts could not be read again: {type(error).__name__}.",
                ]
                _log.exception("contracts.unreadable")

    @property
    def _problems(self) -> list[str]:
        return [*self._directory_problems, *self._registry.problems]

    async def _watch(self, stop: asyncio.Event) -> None:
        if self._lineage:
            self._lineage.start()
        async with asyncio.TaskGroup() as group:
            opening = group.create_task(self._open(stop), name="store")
            recorder = group.create_task(_after(self._adopted, self._recorder.run), name="recorder")
            dispatcher = group.create_task(_after(self._is_open, self._dispatcher.run), name="dispatcher")
            schedule = group.create_task(self._schedule.run(), name="schedule")
            reload = group.create_task(_after(self._is_open, partial(self._reload, self._changes)), name="reload")
            keeper = group.create_task(_after(self._is_open, self._keeper.run), name="leases")
            housekeeping = group.create_task(_after(self._is_open, self._housekeeping.run), name="housekeeping")
            await stop.wait()
            for task in (opening, reload, keeper, housekeeping):
                task.cancel()
            self.state.stopping = True
            schedule.cancel()
            await asyncio.wait([schedule])
            if not await self._recorder.drain(_DRAIN if self._adopted.is_set() else timedelta()):
                _log.error("results.lost", count=self._recorder.waiting)
                self._metrics.dropped(self._recorder.waiting, "stopped")
            recorder.cancel()
            await asyncio.wait([opening, keeper, housekeeping])
            if self._adopted.is_set():
                await self._keeper.end()
            if self._is_open.is_set():
                self._dispatcher.stop()
                await asyncio.wait([dispatcher], timeout=_DRAIN.total_seconds())
            dispatcher.cancel()
            await asyncio.wait([dispatcher, recorder])
            if self._is_open.is_set():
                await self._deliver_the_rest()
        if self._lineage:
            await asyncio.to_thread(self._lineage.stop, _LINEAGE_DRAIN)
        if self._refusal is not None:
            raise self._refusal

    async def _deliver_the_rest(self) -> None:
        try:
            async with asyncio.timeout(_DRAIN.total_seconds()):
                await self._dispatcher.deliver_once()
        except (TimeoutError, SQLAlchemyError, OSError) as error:
            # They wait in the outbox for the next start.
            _log.warning("alerts.not_delivered", reason=type(error).__name__)


async def _after(event: asyncio.Event, run: Callable[[], Awaitable[None]]) -> None:
    await event.wait()
    await run()
