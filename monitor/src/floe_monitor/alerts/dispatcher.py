"""Delivers what waits in the outbox. Delivering has a loop of its own: a slow channel never delays a check.

What a channel does not take is tried again, later each time, until the alert is too old to be worth telling.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.plugin_interfaces.alert_channel import AlertChannelPlugin
from floe_monitor.store import outbox
from floe_monitor.store.outbox import ClaimedAlert

_log = structlog.get_logger(__name__)
SEND_TIMEOUT = timedelta(seconds=60)
# Longer than a send can take, so that a claim runs out only if its dispatcher has died.
CLAIM_FOR = SEND_TIMEOUT + timedelta(seconds=30)
GIVE_UP_AFTER = timedelta(hours=24)
_LONGEST_RETRY = timedelta(minutes=5)
_BATCH = 20


class DeliveryObserver(Protocol):
    """Who counts deliveries."""

    def sent(self, channel: str, waited: timedelta) -> None:
        """A channel took an alert, `waited` after it was found."""

    def failed(self, channel: str) -> None:
        """A channel did not take an alert."""


class Dispatcher:
    """Sends alerts of the outbox to their channels.

    Args:
        engine: The store.
        channels: By the name that the manifest gives them.
        observer: Counts.
        clock: The present.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        channels: Mapping[str, AlertChannelPlugin],
        observer: DeliveryObserver,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._channels = channels
        self._observer = observer
        self._clock = clock
        self._worker = uuid4()
        self._wake = asyncio.Event()
        self._is_stopping = False

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._wake.set()

    def stop(self) -> None:
        """Ends `run` after the batch that is under way.

        Cancelled between a send and its note, an alert would stay claimed, and be sent again when the claim runs out.
        """
        self._is_stopping = True
        self._wake.set()

    async def run(self, *, poll: timedelta = timedelta(seconds=2)) -> None:
        """Delivers until stopped; looks for itself every `poll`, for what others wrote or what is due again."""
        while not self._is_stopping:
            self._wake.clear()
            try:
                delivered = await self.deliver_once()
            except (SQLAlchemyError, OSError) as error:
                _log.warning("alerts.store_unreachable", reason=type(error).__name__)
                delivered = 0
            if not delivered and not self._is_stopping:
                await self._wait(poll)

    async def _wait(self, poll: timedelta) -> None:
        try:
            async with asyncio.timeout(poll.total_seconds()):
                await self._wake.wait()
        except TimeoutError:
            return

    async def deliver_once(self) -> int:
        """Claims one batch and tries it; returns how many alerts it held."""
        claimed = await outbox.claim(self._engine, self._worker, self._clock(), claim_for=CLAIM_FOR, limit=_BATCH)
        async with asyncio.TaskGroup() as group:
            for alert in claimed:
                group.create_task(self._deliver(alert))
        return len(claimed)

    async def _deliver(self, alert: ClaimedAlert) -> None:
        if await self._send(alert):
            now = self._clock()
            self._observer.sent(alert.channel, now - alert.created_at)
            await outbox.mark_sent(self._engine, self._worker, alert.id, now)
            return
        self._observer.failed(alert.channel)
        now = self._clock()
        if now - alert.created_at > GIVE_UP_AFTER:
            _log.error("alert.given_up", channel=alert.channel, event_id=str(alert.id), attempts=alert.attempts)
            await outbox.give_up(self._engine, self._worker, alert.id, now)
        else:
            await outbox.try_again(self._engine, self._worker, alert.id, now + retry_delay(alert.attempts))

    async def _send(self, alert: ClaimedAlert) -> bool:
        channel = self._channels.get(alert.channel)
        if channel is None:
            _log.warning("alert.no_such_channel", channel=alert.channel, event_id=str(alert.id))
            return False
        begin = time.monotonic()
        try:
            async with asyncio.timeout(SEND_TIMEOUT.total_seconds()):
                sent = await channel.send_alert(alert.event)
        except Exception as error:  # noqa: BLE001 - a stranger's channel; it promised not to raise
            # Its text may hold an address that is a credential.
            _log.warning("alert.channel_raised", channel=alert.channel, reason=type(error).__name__)
            return False
        _log.info(
            "alert.sent" if sent else "alert.refused",
            channel=alert.channel,
            event_id=str(alert.id),
            kind=alert.event.kind.value,
            seconds=round(time.monotonic() - begin, 3),
        )
        return sent


def retry_delay(attempts: int) -> timedelta:
    """How long to wait after so many attempts: 1 s, doubled each time, 5 minutes at most."""
    doublings = min(max(attempts, 1) - 1, 16)
    return min(timedelta(seconds=2.0**doublings), _LONGEST_RETRY)
