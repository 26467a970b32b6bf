"""Runs blocking plugin calls in threads of their own, bounded per source.

A call that hangs cannot be ended from outside: after the timeout it is abandoned, its thread stays behind until the
plugin returns, and a source with too many of them is not called until one has ended. One bad source never takes the
threads of another, and no hung thread holds up the process's end (these are daemons; those of `ThreadPoolExecutor` are
not).
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from threading import Thread
from typing import TypeVar

from floe_core.errors import ConnectionError, ExecutionError  # noqa: A004 - the name that the interfaces give

T = TypeVar("T")


class SourceTimeoutError(ExecutionError):
    """A source did not answer in time (FR-022)."""


class Workers:
    """Threads for calls of plugins.

    Args:
        per_source: How many calls of one source go on at once.
        abandoned_per_source: With so many hung calls a source is not called any more.
    """

    def __init__(self, *, per_source: int = 16, abandoned_per_source: int = 4) -> None:
        self._per_source = per_source
        self._abandoned_limit = abandoned_per_source
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._abandoned: Counter[str] = Counter()

    def abandoned(self, source: str) -> int:
        """How many hung calls a source has."""
        return self._abandoned[source]

    async def call(self, source: str, function: Callable[[], T], timeout: timedelta) -> T:  # noqa: ASYNC109 - a bound of the plugin's call
        """The function's result, from a thread.

        Raises:
            SourceTimeoutError: There was none within the timeout, waiting for a free slot included.
            ConnectionError: Too many calls of the source hang.
            Exception: What the function raises.
        """
        if self._abandoned[source] >= self._abandoned_limit:
            raise ConnectionError(
                f"{source} is not asked: {self._abandoned[source]} earlier calls have not come back.",
                remedy="Check why it hangs; it is asked again as soon as one of them ends.",
            )
        slot = self._slots.setdefault(source, asyncio.Semaphore(self._per_source))
        try:
            async with asyncio.timeout(timeout.total_seconds()), slot:
                return await self._in_thread(source, function)
        except TimeoutError:
            raise SourceTimeoutError(
                f"{source} did not answer within {timeout.total_seconds():g} s (timeout)."
            ) from None

    async def _in_thread(self, source: str, function: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.cancelled():
                self._abandoned[source] -= 1
            elif error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # without an error there is a result

        def work() -> None:
            result, error = None, None
            try:
                result = function()
            except BaseException as raised:  # noqa: BLE001 - handed over to whoever awaits the call
                error = raised
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:
                return  # the loop has ended; nobody waits any more

        Thread(target=work, name=f"probe {source}", daemon=True).start()
        try:
            return await future
        except asyncio.CancelledError:
            if future.cancelled():  # otherwise the call had ended just before
                self._abandoned[source] += 1
            raise
