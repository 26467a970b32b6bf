"""Which contracts are watched: registers them in the store and keeps the checks of those that are held on the schedule.

| a contract is | its checks | its series | its history |
|---|---|---|---|
| new, or taken over | begin within five seconds | begin | |
| changed | go on with the new promises; episodes stay open, those of promises that are gone are closed | stay | stays |
| gone | end after the run that goes on | end | stays; open episodes are closed |
| another replica's | end after the run that goes on | end | stays; open episodes go on there |
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.errors import ExecutionError, ValidationError
from floe_core.manifest.models import Monitoring
from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.contracts.model import Contract, ContractId
from floe_monitor.probes.source import Source
from floe_monitor.schedule.loop import Job, Schedule
from floe_monitor.schedule.plan import Timetable
from floe_monitor.service.endings import Endings
from floe_monitor.service.memory import Memory
from floe_monitor.service.metrics import MonitorMetrics
from floe_monitor.service.runner import Runner
from floe_monitor.service.watches import WATCHES, Target, Watch, holds_for
from floe_monitor.store.history import past_states
from floe_monitor.store.leases import Known
from floe_monitor.store.records import CheckRun, PastState, key_of
from floe_monitor.store.results import register

_log = structlog.get_logger(__name__)
# In the mode `continuous` a check begins again so long after its end: a source is never asked in a tight loop.
PAUSE: Final = timedelta(seconds=1)
# How long a run may take beyond its source's timeout, e.g. waiting for a thread.
_RUN_ENDS_WITHIN: Final = timedelta(minutes=2)
# Contracts whose past is read from the store in one go.
_AT_ONCE: Final = 500


class WatchedElsewhereError(ExecutionError):
    """Another replica watches the contract."""

    code = "watched_elsewhere"


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

    Attributes:
        known: The contracts that this replica could watch.
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
        self.known = Known.of(())
        self._known: dict[ContractId, Contract] = {}
        # As they were registered in the store by this process.
        self._stored: dict[ContractId, Contract] = {}
        self._contracts: dict[ContractId, Contract] = {}
        self._fences: Mapping[str, int] = {}
        self._held: dict[ContractId, int] = {}
        self._targets: dict[str, Target] = {}
        self._endings = Endings(engine, _RUN_ENDS_WITHIN + source.timeout)
        # Following waits for the store in between; what is wanted must not change meanwhile.
        self._following = asyncio.Lock()

    async def take(self, contracts: Sequence[Contract]) -> None:
        """Knows these contracts and no others; may be called again when it failed half way.

        Raises:
            SQLAlchemyError, OSError: The store is away.
        """
        if not contracts:
            _log.info("contracts.none")
        changed = [contract for contract in contracts if self._stored.get(contract.id) is not contract]
        await register(self._engine, changed, datetime.now(UTC))
        self._stored = {contract.id: contract for contract in contracts}
        async with self._following:
            self._known = {contract.id: contract for contract in contracts}
            self.known = Known.of(self._known)
            await self._follow()

    async def watch_unstored(self, contracts: Sequence[Contract]) -> None:
        """Watches all of these without a lease and from nothing, since the store has not been reached yet."""
        async with self._following:
            if self._contracts:
                return  # it does so already
            self._known = {contract.id: contract for contract in contracts}
            self.known = Known.of(self._known)
            for contract in contracts:
                for watch in WATCHES:
                    if watch.check.is_promised(contract):
                        self._plan(contract, watch, Memory(), fence=None, last_run=None)
                self._metrics.active.add(str(contract.id))
                self._contracts[contract.id] = contract

    async def end_unstored(self) -> None:
        """Ends what `watch_unstored` began, and waits for runs that go on."""
        async with self._following:
            ended = tuple(self._contracts)
            for contract in ended:
                self._forget(contract)
            self._targets.clear()
        await self._schedule.until_idle(key_of(contract, watch.check.type) for contract in ended for watch in WATCHES)

    async def hold(self, fences: Mapping[str, int]) -> None:
        """Watches those of the known contracts that this replica holds, by `name:version`, and no others.

        Raises:
            SQLAlchemyError, OSError: The store is away.
        """
        async with self._following:
            self._fences = fences
            self._targets = {
                key: target
                for key, target in self._targets.items()
                if fences.get(str(target.contract.id)) == target.fence
            }
            await self._follow()

    async def let_go(self, number: int) -> tuple[ContractId, ...]:
        """Ends the checks of so many contracts, so that another replica may take them; waits for runs that go on."""
        async with self._following:
            chosen = tuple(sorted(self._contracts))[-number:] if number else ()
            self._fences = {key: fence for key, fence in self._fences.items() if key not in set(map(str, chosen))}
            for contract in chosen:
                self._forget(contract)
        await self._schedule.until_idle(key_of(contract, watch.check.type) for contract in chosen for watch in WATCHES)
        return chosen

    async def run_now(self, contract: str, check: ViolationType) -> CheckRun:
        """Runs one check of a contract that is watched here, after the run that goes on (FR-006).

        Args:
            contract: `domain.product/name:version`.
            check: Which of its checks.

        Raises:
            ValidationError: There is no such contract, or it does not promise what this check compares.
            WatchedElsewhereError: Another replica watches it.
        """
        known = next((found for identity, found in self._known.items() if str(identity) == contract), None)
        watch = next(watch for watch in WATCHES if watch.check.type is check)
        if known is None:
            raise ValidationError(f"No contract {contract} is registered.", remedy="Register it, or mend its name.")
        if not watch.check.is_promised(known):
            raise ValidationError(
                f"{contract} promises nothing that the check {check.value} compares.", remedy="Ask for another check."
            )
        key = key_of(known.id, check)
        elsewhere = WatchedElsewhereError(
            f"Another replica watches {contract}.", remedy="Ask again: requests go round."
        )
        if known.id not in self._contracts:
            raise elsewhere

        async def run(at: datetime) -> CheckRun:
            if (target := self._targets.get(key)) is None:
                raise elsewhere  # it was given up while a run of it was waited for
            return await self._runner.run(watch, target, at)

        return await self._schedule.run_now(key, run)

    async def _follow(self) -> None:
        wanted = {contract: known for contract, known in self._known.items() if str(contract) in self._fences}
        for gone in self._contracts.keys() - wanted.keys():
            _log.warning("contract.gone" if gone not in self._known else "contract.let_go", contract=str(gone))
            self._forget(gone)
        changed = [contract for contract in wanted.values() if self._is_new(contract)]
        for start in range(0, len(changed), _AT_ONCE):
            await self._watch_all(changed[start : start + _AT_ONCE])
        self._endings.changed([contract.id for contract in changed])
        for episode in await self._endings.end(self._contracts):
            target = self._targets.get(f"{episode.contract} {episode.check}")
            if target is not None:
                target.memory.forget(episode.id)

    def _is_new(self, contract: Contract) -> bool:
        is_held = self._held.get(contract.id) == self._fences[str(contract.id)]
        return not is_held or self._contracts.get(contract.id) != contract

    async def _watch_all(self, contracts: Sequence[Contract]) -> None:
        now = datetime.now(UTC)
        windows = (
            one.overrides.merged(self._monitoring).severity_thresholds.critical_window_hours for one in contracts
        )
        counted = timedelta(hours=max(windows, default=0))
        unknown = [contract.id for contract in contracts if not self._is_remembered(contract)]
        past = await past_states(self._engine, unknown, now, counted) if unknown else {}
        for contract in contracts:
            for watch in WATCHES:
                self._watch(contract, watch, past.get((contract.id, watch.check.type), PastState()))
            self._metrics.active.add(str(contract.id))
            if contract.id in self._contracts and self._contracts[contract.id] != contract:
                _log.info("contract.changed", contract=str(contract.id))
            self._contracts[contract.id] = contract
            self._held[contract.id] = self._fences[str(contract.id)]

    def _forget(self, contract: ContractId) -> None:
        # What is remembered stays as long as the lease does: it may not be stored yet when the contract comes back.
        self._schedule.remove(key_of(contract, watch.check.type) for watch in WATCHES)
        self._metrics.forget(str(contract))
        del self._contracts[contract]
        self._held.pop(contract, None)

    def _end(self, key: str) -> None:
        self._schedule.remove([key])
        self._targets.pop(key, None)

    def _is_remembered(self, contract: Contract) -> bool:
        """Whether its past under this lease is here, e.g. of a changed contract; it may not be stored yet."""
        fence = self._fences[str(contract.id)]
        keys = [key_of(contract.id, watch.check.type) for watch in WATCHES if watch.check.is_promised(contract)]
        return all(key in self._targets and self._targets[key].fence == fence for key in keys)

    def _watch(self, contract: Contract, watch: Watch, past: PastState) -> None:
        key, fence = key_of(contract.id, watch.check.type), self._fences[str(contract.id)]
        if not watch.check.is_promised(contract):
            self._end(key)
        elif key in self._targets and self._targets[key].fence == fence:
            self._plan(contract, watch, self._targets[key].memory, fence, None)
        else:
            memory = Memory.restored(past, holds_for=holds_for(self._interval_of(contract, watch)))
            self._plan(contract, watch, memory, fence, past.last_run)

    def _interval_of(self, contract: Contract, watch: Watch) -> timedelta:
        settings = contract.overrides.merged(self._monitoring)
        return self._interval or watch.check.interval(settings.check_intervals)

    def _plan(
        self, contract: Contract, watch: Watch, memory: Memory, fence: int | None, last_run: datetime | None
    ) -> None:
        key, interval = key_of(contract.id, watch.check.type), self._interval_of(contract, watch)
        target = Target(contract, self._source, memory, interval, fence)
        self._targets[key] = target

        async def run(planned_at: datetime) -> None:
            await self._runner.run(watch, target, planned_at)

        if self._monitoring.mode != "on_demand":
            pause = PAUSE if self._monitoring.mode == "continuous" else None
            self._schedule.add(Job(key, Timetable.of(key, interval), run, last_run, pause))
