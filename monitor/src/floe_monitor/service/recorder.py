"""Stores results behind the checks' back: a bounded buffer, one writer, batches.

Checking never waits for the store. While the database is away results wait here, oldest first; when the buffer is full
the oldest are dropped and counted.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.service.backlog import Backlog
from floe_monitor.service.metrics import MonitorMetrics
from floe_monitor.store.records import CheckRun
from floe_monitor.store.results import record

_log = structlog.get_logger(__name__)
_BATCH = 500
_PAUSE = timedelta(seconds=1)
# Results gather for so long, since a transaction costs the same for one as for many; an alert does not wait.
_GATHER = timedelta(milliseconds=500)
# Results that are kept while the store is away: 5 minutes of 10 000 contracts with four checks a minute, and a quarter
# more; weeks of a hundred contracts at the default intervals.
CAPACITY: Final = 250_000


class Recorder:
    """Takes runs and writes them.

    Args:
        engine: The store.
        metrics: Counts what is dropped.
        on_stored: Called after a batch is stored, e.g. to wake the dispatcher.
        capacity: Results that are kept while the store is away.

    Attributes:
        failure: Why the last write failed; None if it did not.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        metrics: MonitorMetrics,
        *,
        on_stored: Callable[[], None] = lambda: None,
        capacity: int = CAPACITY,
    ) -> None:
        self._engine = engine
        self._metrics = metrics
        self._on_stored = on_stored
        self._buffer = Backlog(capacity)
        self._arrived = asyncio.Event()
        self._urgent = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self.failure: str | None = None

    @property
    def waiting(self) -> int:
        """Results that are not stored yet."""
        return len(self._buffer)

    def put(self, run: CheckRun) -> None:
        """Takes a result; never waits."""
        if dropped := self._buffer.put(run):
            self._metrics.dropped(dropped, "buffer_full")
        self._empty.clear()
        self._arrived.set()
        if run.alerts:
            self._urgent.set()

    def adopt(self, contracts: Collection[str]) -> None:
        """Keeps, of what was found before any lease was held, what is about these contracts; the rest is others'."""
        others = self._buffer.keep(lambda run: run.fence is not None or str(run.contract.id) in contracts)
        if others:
            self._metrics.dropped(others, "fenced")

    async def run(self) -> None:
        """Writes until cancelled."""
        while True:
            await self._arrived.wait()
            await self._gather()
            self._arrived.clear()
            self._urgent.clear()
            while self._buffer:
                if not await self._write_batch():
                    await asyncio.sleep(_PAUSE.total_seconds())
            self._empty.set()

    async def _gather(self) -> None:
        try:
            async with asyncio.timeout(_GATHER.total_seconds()):
                await self._urgent.wait()
        except TimeoutError:
            return

    async def drain(self, timeout: timedelta) -> bool:  # noqa: ASYNC109 - a bound of the shutdown
        """Waits until everything is stored; false if that took too long."""
        self._urgent.set()
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def _write_batch(self) -> bool:
        batch = self._buffer.oldest(_BATCH)
        try:
            await self._record(batch)
        except DBAPIError as error:
            if not is_refusal(error):
                return self._store_is_away(error)
            if not await self._write_one_by_one(batch):
                return False
        except (SQLAlchemyError, OSError) as error:  # e.g. no free connection in the pool, no network
            return self._store_is_away(error)
        self._buffer.discard({run.id for run in batch})
        self.failure = None
        self._on_stored()
        return True

    async def _record(self, runs: list[CheckRun]) -> None:
        if others := await record(self._engine, runs):
            self._metrics.dropped(others, "fenced")

    def _store_is_away(self, error: Exception) -> bool:
        if self.failure is None:
            _log.warning("store.unreachable", reason=type(error).__name__, waiting=self.waiting)
        self.failure = type(error).__name__
        return False

    async def _write_one_by_one(self, batch: list[CheckRun]) -> bool:
        """One result that the database refuses must not hold up the others."""
        for run in batch:
            try:
                await self._record([run])
            except DBAPIError as error:
                if not is_refusal(error):
                    return self._store_is_away(error)
                self._metrics.dropped(1, "refused")
                _log.exception("result.refused", key=run.key)
        return True


def is_refusal(error: DBAPIError) -> bool:
    """Whether the database refuses the values themselves (SQLSTATE classes 22 and 23), so that asking again is vain."""
    state = getattr(error.orig, "sqlstate", None) or ""
    # Values that the driver itself cannot encode have no SQLSTATE.
    return state.startswith(("22", "23")) or isinstance(error.orig and error.orig.__cause__, ValueError)
