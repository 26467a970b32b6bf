"""One leader among replicas, by a Lease.

A replica leads from the moment it sent a renewal that was accepted, for two thirds of the Lease's duration. Another one
takes the Lease only when it has seen no renewal for the whole duration, by its own monotonic clock. So no two replicas
believe at once that they lead, whatever their clocks show; only one that sleeps in the middle of a request may still
act, and what a leader writes is guarded by resourceVersion.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from floe_certs.api import ConflictError, Lease, LeaseStore, RefusedError, StoredLease, UnreachableError

LEASE_SECONDS = 15
"""The duration that Kubernetes' own components use."""


@dataclass(frozen=True, slots=True)
class _Sight:
    """A version of the Lease, and when it was seen first."""

    resource_version: str
    at: float


class Election:
    """One replica's part in the election; `leads` may be asked at any time."""

    def __init__(
        self,
        leases: LeaseStore,
        identity: str,
        *,
        duration_seconds: int = LEASE_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """A replica that does not lead yet.

        Args:
            leases: The Lease.
            identity: Unlike that of every other replica, e.g. the pod's name.
            duration_seconds: After how long without a renewal another replica takes over.
            now: The time that is written for people.
            monotonic: Seconds that a change of the clock does not move.
        """
        self._leases = leases
        self._identity = identity
        self._duration_seconds = duration_seconds
        self._now = now
        self._monotonic = monotonic
        self._leads_until = -math.inf
        self._sight: _Sight | None = None

    def leads(self) -> bool:
        """Whether this replica leads now."""
        return self._monotonic() < self._leads_until

    async def contend(self) -> bool:
        """Takes or renews the Lease if that is allowed; whether this replica leads.

        Raises:
            UnreachableError: The API server does not answer; leading ends by itself.
            RefusedError: The API server refuses, e.g. for want of rights.
        """
        sent = self._monotonic()
        stored = await self._leases.read_lease()
        self._look_at(stored, sent)
        held = stored.lease if stored is not None else None
        if held is not None and held.holder != self._identity:
            self._leads_until = -math.inf
            if sent - self._seen_at(sent) < held.duration_seconds:
                return False
        try:
            written = await self._leases.write_lease(self._claim(held), stored)
        except ConflictError:  # somebody was first; what that means is read in the next round
            return self.leads()
        self._look_at(written, sent)
        self._leads_until = sent + self._duration_seconds * 2 / 3
        return self.leads()

    async def resign(self) -> None:
        """Gives the Lease back, so that another replica need not wait; a failure only makes it wait."""
        self._leads_until = -math.inf
        try:
            stored = await self._leases.read_lease()
            if stored is not None and stored.lease is not None and stored.lease.holder == self._identity:
                await self._leases.write_lease(None, stored)
        except (ConflictError, RefusedError, UnreachableError):
            return

    async def run(self, failed: Callable[[Exception], None] = lambda _: None) -> None:
        """Contends until it is cancelled, five times in a Lease's duration; then gives the Lease back.

        Args:
            failed: Told each failure; the loop goes on.
        """
        try:
            while True:
                try:
                    await self.contend()
                except (RefusedError, UnreachableError) as error:
                    failed(error)
                await asyncio.sleep(self._duration_seconds / 5)
        finally:
            await asyncio.shield(self.resign())

    def _look_at(self, stored: StoredLease | None, at: float) -> None:
        if stored is not None and (self._sight is None or self._sight.resource_version != stored.resource_version):
            self._sight = _Sight(stored.resource_version, at)

    def _seen_at(self, default: float) -> float:
        return default if self._sight is None else self._sight.at

    def _claim(self, held: Lease | None) -> Lease:
        now = self._now()
        if held is not None and held.holder == self._identity:
            return replace(held, renewed_at=now, duration_seconds=self._duration_seconds)
        return Lease(
            holder=self._identity,
            duration_seconds=self._duration_seconds,
            acquired_at=now,
            renewed_at=now,
            transitions=0 if held is None else held.transitions + 1,
        )
