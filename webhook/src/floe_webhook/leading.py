"""Tasks that must not end: each replica's own, and those that one replica does for all while it leads.

    leads ──▶ every duty is started ──▶ one fails: counted, logged, started again after a while
    no longer ──▶ every duty is cancelled before another replica may lead

An `Election` gives up leading five seconds before another replica may take over; looking once a second leaves time for
a duty to end.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import structlog

from floe_webhook.failures import places, reason_of

LOOK_SECONDS = 1.0
"""How often it is asked whether this replica leads."""

ENDING_SECONDS = 3.0
"""How long a cancelled task is waited for."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
"""Between a failure and the next try; doubled with each failure, and short again after a run of the longest pause."""

_log = structlog.get_logger(__name__)

Failed = Callable[[str], None]
"""Counts a failure; told the task's name, which is one of a few."""

Sleep = Callable[[float], Awaitable[None]]


class Duty(Protocol):
    """Something that goes on until it is cancelled."""

    async def run(self) -> None:
        """Does it; whatever it raises is counted, logged and tried again."""
        ...


async def keep_running(
    name: str,
    run: Callable[[], Awaitable[None]],
    failed: Failed,
    *,
    sleep: Sleep = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Runs something until this task is cancelled, and again after a pause if it ends."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        began = monotonic()
        try:
            await run()
            _log.error("task ended", task=name)
        except Exception as error:  # noqa: BLE001 - the edge of a task that must not end
            _log.error("task failed", task=name, at=places(error), reason=reason_of(error))
        if (task := asyncio.current_task()) is not None and task.cancelling():
            return  # what ran has swallowed its cancellation
        failed(name)
        if monotonic() - began >= LONGEST_PAUSE_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        await sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE_SECONDS)


async def lead(
    duties: Mapping[str, Duty],
    leads: Callable[[], bool],
    failed: Failed,
    *,
    sleep: Sleep = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Has the duties run while this replica leads, until it is cancelled.

    Args:
        duties: By name.
        leads: Whether this replica leads now, e.g. `Election.leads`.
        failed: Counts failures.
        sleep: How to wait.
        monotonic: Seconds that a change of the clock does not move.
    """
    running: Sequence[asyncio.Task[None]] = ()
    leading = False
    try:
        while True:
            if leads() is not leading:
                leading = not leading
                _log.info("leading" if leading else "following", duties=sorted(duties))
                await ended(running)
                running = [
                    asyncio.create_task(keep_running(name, duty.run, failed, sleep=sleep, monotonic=monotonic))
                    for name, duty in duties.items()
                    if leading
                ]
            await sleep(LOOK_SECONDS)
    finally:
        await ended(running)


async def ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancels tasks, and waits a little for their ends."""
    for task in tasks:
        task.cancel()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=ENDING_SECONDS)
        if late:
            _log.error("tasks do not end when they are cancelled", count=len(late))
