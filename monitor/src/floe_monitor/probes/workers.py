"""Runs blocking plugin calls in threads of their own, bounded per source.

A call that hangs cannot be ended from outside: after the timeout it is abandoned, and its thread stays behind, in its
place among the source's threads, until the plugin returns. One bad source never takes the threads of another, and no
hung thread holds up the process's end (these are daemons; those of `ThreadPoolExecutor` are not).

| abandoned calls of a source        | it is                                                                       |
|------------------------------------|-----------------------------------------------------------------------------|
| fewer than `abandoned_per_source`  | asked                                                                       |
| more                               | asked by one call now and then, the pause doubling from 30 s to 10 minutes  |
| `per_source` and the trials' bound | not asked until one of them comes back                                      |

When a source answers, it is asked again as before. Its hung threads are never more than `per_source` + `TRIALS`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Thread
from typing import Final, TypeVar

from floe_core.errors import ConnectionError, ExecutionError  # noqa: A004 - the name that the interfaces give

T = TypeVar("T")
TRIALS: Final = 8
_FIRST_PAUSE: Final = timedelta(seconds=30)
_LONGEST_PAUSE: Final = timedelta(minutes=10)


class SourceTimeoutError(ExecutionError):
    """A source did not answer in time (FR-022)."""


@dataclass(slots=True)
class _Calls:
    """What is known of one source's calls.

    Attributes:
        abandoned: Calls that hang.
        forgiven: Those of them that hung already when the source last answered another call.
        trials: Calls that hang, of those that were made to see whether it answers again.
        try_at: When the next such call may be made, by the loop's clock.
    """

    slots: asyncio.Semaphore
    pause: timedelta
    abandoned: int = 0
    forgiven: int = 0
    trials: int = 0
    try_at: float = field(default=0.0)

    def answered(self, pause: timedelta) -> None:
        self.forgiven, self.pause = self.abandoned, pause

    def came_back(self) -> None:
        self.abandoned -= 1
        self.forgiven = min(self.forgiven, self.abandoned)


class Workers:
    """Threads for calls of plugins.

    Args:
        per_source: How many calls of one source go on at once, hung ones included.
        abandoned_per_source: With so many hung calls a source is asked by trials only.
        first_pause: Before the first trial.
    """

    def __init__(
        self, *, per_source: int = 16, abandoned_per_source: int = 4, first_pause: timedelta = _FIRST_PAUSE
    ) -> None:
        self._per_source = per_source
        self._abandoned_limit = abandoned_per_source
        self._first_pause = first_pause
        self._calls: dict[str, _Calls] = {}

    def abandoned(self, source: str) -> int:
        """How many hung calls a source has."""
        return self._calls[source].abandoned if source in self._calls else 0

    async def call(self, source: str, function: Callable[[], T], timeout: timedelta) -> T:  # noqa: ASYNC109 - a bound of the plugin's call
        """The function's result, from a thread.

        Raises:
            SourceTimeoutError: There was none within the timeout, waiting for a free slot included.
            ConnectionError: Too many calls of the source hang.
            Exception: What the function raises.
        """
        calls = self._calls.setdefault(source, _Calls(asyncio.Semaphore(self._per_source), self._first_pause))
        try:
            async with asyncio.timeout(timeout.total_seconds()):
                if self._is_open(calls):
                    await calls.slots.acquire()
                    if self._is_open(calls):
                        return await self._in_thread(source, calls, function, calls.slots.release)
                    calls.slots.release()  # it began to hang while this call waited
                self._begin_trial(source, calls)
                return await self._in_thread(source, calls, function, lambda: _end_trial(calls))
        except TimeoutError:
            raise SourceTimeoutError(
                f"{source} did not answer within {timeout.total_seconds():g} s (timeout)."
            ) from None

    def _is_open(self, calls: _Calls) -> bool:
        return calls.abandoned - calls.forgiven < self._abandoned_limit

    def _begin_trial(self, source: str, calls: _Calls) -> None:
        now = asyncio.get_running_loop().time()
        if now < calls.try_at or calls.trials >= TRIALS:
            raise ConnectionError(
                f"{source} is not asked: {calls.abandoned} earlier calls have not come back.",
                remedy="Check why it hangs; it is asked again now and then, and as soon as one of them ends.",
            )
        calls.try_at = now + calls.pause.total_seconds()
        calls.pause = min(calls.pause * 2, _LONGEST_PAUSE)
        calls.trials += 1

    async def _in_thread(self, source: str, calls: _Calls, function: Callable[[], T], on_end: Callable[[], None]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            on_end()
            if future.cancelled():
                calls.came_back()
                return
            calls.answered(self._first_pause)
            if error is not None:
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

        try:
            Thread(target=work, name=f"probe {source}", daemon=True).start()
        except RuntimeError:  # Python's word for a limit of the container or the user
            on_end()
            raise ExecutionError(
                f"{source} is not asked: no thread can be started.", remedy="Raise the limit of threads (pids)."
            ) from None
        try:
            return await future
        except asyncio.CancelledError:
            if future.cancelled():  # otherwise the call had ended just before
                self._abandon(calls, loop.time())
            raise

    def _abandon(self, calls: _Calls, now: float) -> None:
        was_open = self._is_open(calls)
        calls.abandoned += 1
        if was_open and not self._is_open(calls):
            calls.try_at = now + calls.pause.total_seconds()


def _end_trial(calls: _Calls) -> None:
    calls.trials -= 1
