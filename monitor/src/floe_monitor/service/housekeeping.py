"""What is done now and then for all replicas by one of them: partitions ahead, retention, daily aggregates.

| duty            | every | what                                                                              |
|-----------------|-------|-----------------------------------------------------------------------------------|
| make_partitions | hour  | this month's and the next two months' partitions                                  |
| aggregate_days  | hour  | the days that results were stored for, today's so far included                    |
| drop_expired    | hour  | months older than `retention_days`, and alerts that were settled so long ago      |

A duty that takes long is done less often: at most a twentieth of the time goes into it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.store import duties, outbox
from floe_monitor.store.aggregates import aggregate_days
from floe_monitor.store.partitions import drop_expired, make_ahead

_log = structlog.get_logger(__name__)
_EVERY: Final = timedelta(hours=1)
_TRY_AGAIN: Final = timedelta(minutes=1)
_LOOK_EVERY: Final = timedelta(seconds=30)
# Longer than a duty can take (`DUTY_SECONDS` bounds each of its statements), so that a claim runs out only if its
# replica has died.
_CLAIM: Final = timedelta(minutes=30)
DUTY_SECONDS: Final = 600
_LARGEST_SHARE: Final = 20


class DutyObserver(Protocol):
    """Who counts duties."""

    def duty_ended(self, duty: str, outcome: str, took: timedelta) -> None:
        """It was `done`, or `failed`."""


@dataclass(frozen=True, slots=True)
class Duty:
    """Work for one replica at a time, which may be done twice without harm.

    Attributes:
        work: Returns what was done, for the log.
    """

    name: str
    work: Callable[[datetime], Awaitable[Sequence[object]]]


@dataclass(frozen=True, slots=True)
class Housekeeping:
    """One replica's part in the duties.

    Attributes:
        engine: The store; its statements may take `DUTY_SECONDS`.
        keep: How long single results are kept.
        holds_for: See `aggregate_days`.
    """

    engine: AsyncEngine
    replica: UUID
    observer: DutyObserver
    keep: timedelta
    holds_for: timedelta
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def duties(self) -> tuple[Duty, ...]:
        """In the order in which they are done: a day is aggregated before its month is dropped."""
        return (
            Duty("make_partitions", lambda now: make_ahead(self.engine, now)),
            Duty("aggregate_days", lambda now: aggregate_days(self.engine, now, holds_for=self.holds_for)),
            Duty("drop_expired", self._drop_expired),
        )

    async def run(self) -> None:
        """Does what is due until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(_LOOK_EVERY.total_seconds())

    async def once(self) -> None:
        """Does every duty that is due and that no other replica does."""
        for duty in self.duties:
            try:
                if await duties.claim(self.engine, self.replica, duty.name, _CLAIM):
                    await self._do(duty)
            except (SQLAlchemyError, OSError) as error:
                _log.warning("duty.store_unreachable", duty=duty.name, reason=type(error).__name__)

    async def _do(self, duty: Duty) -> None:
        begin = time.monotonic()
        try:
            done = await duty.work(self.clock())
        except (SQLAlchemyError, OSError) as error:
            # A lock that somebody held too long, the database going away: somebody tries again.
            _log.warning("duty.failed", duty=duty.name, reason=type(error).__name__)
            self.observer.duty_ended(duty.name, "failed", timedelta(seconds=time.monotonic() - begin))
            await duties.fail(self.engine, self.replica, duty.name, _TRY_AGAIN)
            return
        took = timedelta(seconds=time.monotonic() - begin)
        _log.info("duty.done", duty=duty.name, seconds=round(took.total_seconds(), 3), what=[str(one) for one in done])
        self.observer.duty_ended(duty.name, "done", took)
        await duties.finish(self.engine, self.replica, duty.name, max(_EVERY, took * _LARGEST_SHARE))

    async def _drop_expired(self, now: datetime) -> Sequence[object]:
        dropped: list[object] = list(await drop_expired(self.engine, now, self.keep))
        if alerts := await outbox.forget(self.engine, now - self.keep):
            dropped.append(f"{alerts} settled alerts")
        return dropped
