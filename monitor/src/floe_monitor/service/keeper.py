"""Keeps this replica's share of the contracts: a round of leases every few seconds.

A replica that is killed is missed after `lease`, and its contracts go on within one more `round`; one that stops gives
its contracts back, and they go on within a `round`. While the database is away everybody goes on with what it holds;
when it is back nobody takes over what another one held before that one has had a lease's time to come back, too.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.service.roster import Roster
from floe_monitor.store.leases import Share, give_back, hold, release, renew

_log = structlog.get_logger(__name__)
_DRAIN = timedelta(seconds=5)


@dataclass(slots=True)
class Keeper:
    """One replica's leases.

    Attributes:
        stored: Waits until results that are known are stored; false if that took too long.
        lease: How long a replica is believed to be alive without a word of it.
        round: How often it says so; well below the lease.
        share: What the last round gave.
    """

    engine: AsyncEngine
    roster: Roster
    stored: Callable[[timedelta], Awaitable[bool]]
    lease: timedelta = timedelta(seconds=15)
    round: timedelta = timedelta(seconds=5)
    replica: UUID = field(default_factory=uuid4)
    share: Share = field(default_factory=lambda: Share({}, 0))
    _asked_at: float | None = field(default=None, init=False, repr=False)
    _takes_over_from: float = field(default=0.0, init=False, repr=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False, repr=False)

    async def once(self) -> None:
        """One round; one that is asked for meanwhile waits for its end.

        Raises:
            SQLAlchemyError, OSError: The store is away.
        """
        async with self._turn:
            await self._ask()
            await self.roster.hold(self.share.fences)
            if self.share.excess:
                await self._hand_over(self.share.excess)

    async def ask(self) -> Share:
        """What this replica may watch, without beginning to.

        Raises:
            SQLAlchemyError, OSError: The store is away.
        """
        async with self._turn:
            await self._ask()
            return self.share

    async def _ask(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._asked_at is not None and now - self._asked_at > self.lease.total_seconds():
            self._takes_over_from = now + self.lease.total_seconds()
        self.share = await hold(
            self.engine, self.replica, self.lease, self.roster.known, takes_over=now >= self._takes_over_from
        )
        self._asked_at = now

    async def _hand_over(self, number: int) -> None:
        async with self.renewing():
            chosen = await self.roster.let_go(number)
            are_stored = await self.stored(_DRAIN)
        # Whoever takes them begins with what is stored; until all of it is they stay here.
        if are_stored:
            await give_back(self.engine, self.replica, chosen)

    @asynccontextmanager
    async def renewing(self) -> AsyncIterator[None]:
        """Renews beside: a run that is waited for may take longer than a lease."""
        renewals = asyncio.create_task(self._renew(), name="renewals")
        try:
            yield
        finally:
            renewals.cancel()
            await asyncio.wait([renewals])

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self.round.total_seconds())
            try:
                await renew(self.engine, self.replica, self.lease)
            except (SQLAlchemyError, OSError) as error:
                _log.warning("leases.not_renewed", reason=type(error).__name__)

    async def run(self) -> None:
        """Rounds until cancelled, the first one at once."""
        while True:
            try:
                await self.once()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("leases.not_renewed", reason=type(error).__name__)
            await asyncio.sleep(self.round.total_seconds())

    async def end(self) -> None:
        """Gives everything back; if the store is away the leases end by themselves."""
        try:
            async with asyncio.timeout(_DRAIN.total_seconds()):
                await release(self.engine, self.replica)
        except (TimeoutError, SQLAlchemyError, OSError) as error:
            _log.warning("leases.not_released", reason=type(error).__name__)
