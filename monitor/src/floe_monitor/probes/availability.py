"""Asks whether a source answers. A failed ping is asked again once before it counts: one lost packet is no outage."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from floe_core.errors import FloeError
from floe_core.plugin_interfaces.compute import ConnectionStatus
from floe_monitor.checks.availability import Ping
from floe_monitor.probes.source import Source

RETRY_AFTER = timedelta(seconds=1)


async def ping(
    source: Source,
    *,
    retry_after: timedelta = RETRY_AFTER,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Ping:
    """Whether the source answers now; degraded counts as up (it answers, and says what is wrong)."""
    first = await _ping(source, clock)
    if first.up:
        return first
    await asyncio.sleep(retry_after.total_seconds())
    return await _ping(source, clock)


async def _ping(source: Source, clock: Callable[[], datetime]) -> Ping:
    try:
        result = await source.ping()
    except FloeError as error:
        return Ping(clock(), up=False, reason=error.what)
    up = result.status is not ConnectionStatus.UNHEALTHY
    return Ping(clock(), up=up, reason=result.message, latency_seconds=result.latency_ms / 1000)
