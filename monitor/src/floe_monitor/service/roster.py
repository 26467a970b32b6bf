"""Which contracts are watched: registers them in the store and keeps their checks on the schedule.

| a contract is | its checks | its series | its history |
|---|---|---|---|
| new | begin within five seconds | begin | |
| changed | go on with the new promises, episodes stay open | stay | stays |
| gone | end after the run that goes on | end | stays; an open episode goes on if the contract comes back |
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.manifest.models import Monitoring
from floe_monitor.contracts.model import Contract, ContractId
from floe_monitor.probes.source import Source
from floe_monitor.schedule.loop import Job, Schedule
from floe_monitor.schedule.plan import Timetable
from floe_monitor.service.memory import Memory
from floe_monitor.service.metrics import MonitorMetrics
from floe_monitor.service.runner import Runner
from floe_monitor.service.watches import WATCHES, Target, Watch, holds_for
from floe_monitor.store.history import past_state
from floe_monitor.store.records import key_of
from floe_monitor.store.results import register

_log = structlog.get_logger(__name__)


class Roster:
    """The watched contracts.

    Args:
        engine: The store.
        schedule: Where checks are put.
        runner: Runs them.
        source: Where the contracts' tables are.
        metrics: Shows series of watched contracts only.
        monitoring: Intervals and rules.
        interval: Overrides the interval of every check.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        schedule: Schedule,
        runner: Runner,
        source: Source,
        *,
        metrics: MonitorMetrics,
        monitoring: Monitoring,
        interval: timedelta | None = None,
    ) -> None:
        self._engine = engine
        self._schedule = schedule
        self._runner = runner
        self._source = source
        self._metrics = metrics
        self._monitoring = monitoring
        self._interval = interval
        self._contracts: dict[ContractId, Contract] = {}
        self._targets: dict[str, Target] = {}

    async def take(self, contracts: Sequence[Contract]) -> None:
        """Watches these contracts and no others; may be called again when it failed half way.

        Raises:
            SQLAlchemyError, OSError: The store is away.
        """
        if not contracts:
            _log.info("contracts.none")
        await register(self._engine, contracts, datetime.now(UTC))
        wanted = {contract.id: contract for contract in contracts}
        for gone in self._contracts.keys() - wanted.keys():
            _log.warning("contract.gone", contract=str(gone))
            self._forget(gone)
        for contract in contracts:
            known = self._contracts.get(contract.id)
            if known != contract:
                await self._watch(contract)
                self._metrics.active.add(str(contract.id))
                if known is not None:
                    _log.info("contract.changed", contract=str(contract.id))
            self._contracts[contract.id] = contract

    def _forget(self, contract: ContractId) -> None:
        for watch in WATCHES:
            self._end(key_of(contract, watch.check.type))
        self._metrics.forget(str(contract))
        del self._contracts[contract]

    def _end(self, key: str) -> None:
        self._schedule.remove([key])
        self._targets.pop(key, None)

    async def _watch(self, contract: Contract) -> None:
        for watch in WATCHES:
            if watch.check.is_promised(contract):
                await self._schedule_one(contract, watch)
            else:
                self._end(key_of(contract.id, watch.check.type))

    async def _schedule_one(self, contract: Contract, watch: Watch) -> None:
        interval = self._interval or watch.check.interval(self._monitoring.check_intervals)
        key = key_of(contract.id, watch.check.type)
        last_run = None
        if key in self._targets:  # a changed contract: what is remembered may not be stored yet
            memory = self._targets[key].memory
        else:
            counted = timedelta(hours=self._monitoring.severity_thresholds.critical_window_hours)
            past = await past_state(self._engine, contract.id, watch.check.type, datetime.now(UTC), counted)
            memory, last_run = Memory.restored(past, holds_for=holds_for(interval)), past.last_run
        target = Target(contract, self._source, memory, interval)
        self._targets[key] = target

        async def run(planned_at: datetime) -> None:
            await self._runner.run(watch, target, planned_at)

        self._schedule.add(Job(key, Timetable.of(key, interval), run, last_run))
