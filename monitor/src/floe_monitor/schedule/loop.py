"""Starts checks at their deadlines: one loop waits for the earliest, each run is a task of its own.

The loop never waits for a run. A run that has not ended at its next deadline makes that tick a skipped one (FR-006);
a loop that wakes too late counts what it missed. Start-to-start drift is measured from the planned moment.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol, TypeVar

import structlog

from floe_monitor.schedule.plan import Timetable

_log = structlog.get_logger(__name__)
T = TypeVar("T")
# Longest sleep: a wall clock that jumps is noticed within it.
_LONGEST_WAIT = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Job:
    """Something that runs on a timetable.

    Attributes:
        key: Names it; no two runs of one key overlap.
        run: Called with the planned moment; what it raises is counted and logged.
        pause: Begins again so long after each run's end instead of at the timetable's deadlines; only the first one is
            the timetable's. None for deadlines.
    """

    key: str
    timetable: Timetable
    run: Callable[[datetime], Awaitable[object]]
    last_run: datetime | None = None
    pause: timedelta | None = None


class ScheduleObserver(Protocol):
    """Who counts what the schedule does."""

    def started(self, key: str, drift: timedelta) -> None:
        """A run began `drift` after its planned moment."""

    def missed(self, key: str, ticks: int, reason: str) -> None:
        """Deadlines without a run: `overrun` (the previous run goes on) or `late` (the loop woke too late)."""

    def crashed(self, key: str) -> None:
        """A run raised."""


@dataclass(order=True, slots=True)
class _Entry:
    deadline: datetime
    order: int
    job: Job = field(compare=False)


class Schedule:
    """The jobs of one process; `add` and `remove` work while it runs."""

    def __init__(
        self, observer: ScheduleObserver, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._observer = observer
        self._clock = clock
        self._entries: list[_Entry] = []
        self._jobs: dict[str, Job] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._order = count()
        self._changed = asyncio.Event()
        self._latest = clock()
        self.runs: Counter[str] = Counter()

    def add(self, job: Job) -> None:
        """Schedules a job; one with the same key is replaced."""
        self._jobs[job.key] = job
        self._plan(job, job.timetable.first(self._clock(), job.last_run))

    def remove(self, keys: Iterable[str]) -> None:
        """Takes jobs out; a run that goes on ends by itself."""
        for key in keys:
            self._jobs.pop(key, None)

    async def until_idle(self, keys: Iterable[str]) -> None:
        """Waits for runs of these jobs that go on now."""
        if found := [self._running[key] for key in keys if key in self._running]:
            await asyncio.wait(found)

    async def run_now(self, key: str, run: Callable[[datetime], Awaitable[T]]) -> T:
        """Runs something once, as a run of this key: after the one that goes on, and never beside another.

        Raises:
            Exception: What it raises.
        """
        while (going_on := self._running.get(key)) is not None:
            await asyncio.wait([going_on])
        now = self._clock()
        self._observer.started(key, timedelta())
        self.runs[key] += 1
        result: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(_into(result, run(now)), name=f"check {key}")
        self._running[key] = task
        task.add_done_callback(lambda _: self._running.pop(key, None))
        await asyncio.wait([task])
        return await result

    @property
    def running(self) -> int:
        """How many runs go on now."""
        return len(self._running)

    async def run(self, *, grace: timedelta = timedelta(seconds=5)) -> None:
        """Runs until cancelled; then waits for runs that go on, at most the grace, and cancels the rest."""
        try:
            while True:
                await self._wait_for_the_earliest()
                self._start_what_is_due()
        finally:
            await self._end_runs(grace)

    async def _wait_for_the_earliest(self) -> None:
        self._changed.clear()
        wait = _LONGEST_WAIT
        if self._entries:
            wait = min(wait, self._entries[0].deadline - self._clock())
        if wait <= timedelta():
            await asyncio.sleep(0)  # runs that were just started get their turn
            return
        try:
            async with asyncio.timeout(wait.total_seconds()):
                await self._changed.wait()
        except TimeoutError:
            return

    def _start_what_is_due(self) -> None:
        now = self._clock()
        if now < self._latest - _LONGEST_WAIT:
            self._plan_anew(now)
        self._latest = now
        while self._entries and self._entries[0].deadline <= now:
            entry = heapq.heappop(self._entries)
            job = entry.job
            if self._jobs.get(job.key) is not job:
                continue  # removed or replaced meanwhile
            self._start(job, entry.deadline, now)
            if job.pause is not None:
                continue  # planned again when this run ends
            if missed := job.timetable.missed_between(entry.deadline, now):
                self._observer.missed(job.key, missed, "late")
            entry.deadline = job.timetable.next_after(now)
            heapq.heappush(self._entries, entry)

    def _plan_anew(self, now: datetime) -> None:
        """The clock was set back: what was planned by the old time would leave everything unchecked for as long."""
        _log.warning("schedule.clock_set_back", seconds=(self._latest - now).total_seconds())
        for entry in self._entries:
            entry.deadline = min(entry.deadline, entry.job.timetable.next_after(now))
        heapq.heapify(self._entries)

    def _plan(self, job: Job, deadline: datetime) -> None:
        heapq.heappush(self._entries, _Entry(deadline, next(self._order), job))
        self._changed.set()

    def _start(self, job: Job, planned: datetime, now: datetime) -> None:
        if job.key in self._running:
            if job.pause is None:
                self._observer.missed(job.key, 1, "overrun")
            else:
                self._plan(job, now + job.pause)
            return
        self._observer.started(job.key, now - planned)
        self.runs[job.key] += 1
        task = asyncio.create_task(self._run_one(job, planned), name=f"check {job.key}")
        self._running[job.key] = task
        task.add_done_callback(lambda _: self._running.pop(job.key, None))

    async def _run_one(self, job: Job, planned: datetime) -> None:
        try:
            await job.run(planned)
        except Exception:  # noqa: BLE001 - the outermost edge of a run: one check never ends the others
            self._observer.crashed(job.key)
            _log.exception("check.crashed", key=job.key)
        if job.pause is not None and self._jobs.get(job.key) is job:
            self._plan(job, self._clock() + job.pause)

    async def _end_runs(self, grace: timedelta) -> None:
        if not self._running:
            return
        _, late = await asyncio.wait(self._running.values(), timeout=grace.total_seconds())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _into(result: "asyncio.Future[T]", run: Awaitable[T]) -> None:
    """Settles the future with what the run gives, raises, or by its being cancelled."""
    try:
        value = await run
    except asyncio.CancelledError:
        result.cancel()
        raise
    except Exception as error:  # noqa: BLE001 - handed over to whoever asked for the run
        result.set_exception(error)
    else:
        result.set_result(value)
