"""The loop that starts what is due."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from floe_monitor.schedule.loop import Job, Schedule
from floe_monitor.schedule.plan import Timetable
from monitor.tests.builders import HOUR, until

pytestmark = pytest.mark.requirement("FR-003", "FR-006")
TICK = timedelta(milliseconds=20)


class Observed:
    """Counts what the schedule tells."""

    def __init__(self) -> None:
        self.starts: Counter[str] = Counter()
        self.drifts: list[timedelta] = []
        self.missed_ticks: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()

    def started(self, key: str, drift: timedelta) -> None:
        self.starts[key] += 1
        self.drifts.append(drift)

    def missed(self, key: str, ticks: int, reason: str) -> None:
        assert self.starts[key] > 0
        self.missed_ticks[reason] += ticks

    def crashed(self, key: str) -> None:
        self.crashes[key] += 1


async def stop(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_each_run_begins_at_its_deadline_however_long_it_takes() -> None:
    planned: list[datetime] = []

    async def run(at: datetime) -> None:
        planned.append(at)
        await asyncio.sleep(TICK.total_seconds() * 0.6)

    schedule = Schedule(Observed())
    task = asyncio.create_task(schedule.run())
    schedule.add(Job("a", Timetable.of("a", TICK), run))
    await until(lambda: len(planned) >= 8)
    await stop(task)
    # The first one may be off the grid; from then on all are on it.
    assert {(at - planned[1]) % TICK for at in planned[1:]} == {timedelta()}


async def test_no_two_runs_of_one_key_overlap_and_the_skipped_ticks_are_counted() -> None:
    observed = Observed()
    release = asyncio.Event()
    started = 0

    async def run(_at: datetime) -> None:
        nonlocal started
        started += 1
        await release.wait()

    schedule = Schedule(observed)
    task = asyncio.create_task(schedule.run())
    schedule.add(Job("a", Timetable.of("a", TICK), run))
    await until(lambda: observed.missed_ticks["overrun"] >= 3)
    assert (started, schedule.running) == (1, 1)
    release.set()
    await until(lambda: started >= 2)
    await stop(task)


async def test_one_check_that_hangs_or_raises_does_not_hinder_another() -> None:
    observed = Observed()
    runs: Counter[str] = Counter()

    async def hang(_at: datetime) -> None:
        await asyncio.Event().wait()

    async def fail(_at: datetime) -> None:
        raise RuntimeError("a defect")

    async def work(_at: datetime) -> None:
        runs["good"] += 1

    schedule = Schedule(observed)
    task = asyncio.create_task(schedule.run(grace=timedelta()))
    for key, run in (("hangs", hang), ("fails", fail), ("good", work)):
        schedule.add(Job(key, Timetable.of(key, TICK), run))
    await until(lambda: runs["good"] >= 5 and observed.crashes["fails"] >= 5)
    await stop(task)
    assert schedule.running == 0


async def test_a_removed_job_does_not_start_again() -> None:
    runs: Counter[str] = Counter()

    async def work(_at: datetime) -> None:
        runs["all"] += 1

    observed = Observed()
    schedule = Schedule(observed)
    task = asyncio.create_task(schedule.run())
    schedule.add(Job("a", Timetable.of("a", TICK), work))
    await until(lambda: runs["all"] >= 2)
    schedule.remove(["a"])
    before = runs["all"]
    other = Counter[str]()

    async def mark(_at: datetime) -> None:
        other["b"] += 1

    schedule.add(Job("b", Timetable.of("b", TICK), mark))
    await until(lambda: other["b"] >= 3)
    await stop(task)
    assert runs["all"] == before


async def test_a_job_that_is_added_while_the_loop_sleeps_is_noticed_at_once() -> None:
    runs: Counter[str] = Counter()

    async def work(_at: datetime) -> None:
        runs["all"] += 1

    schedule = Schedule(Observed())
    task = asyncio.create_task(schedule.run())
    await asyncio.sleep(0)
    schedule.add(Job("a", Timetable.of("a", TICK), work))
    await until(lambda: runs["all"] >= 1)
    await stop(task)


async def test_at_its_end_the_schedule_waits_for_runs_that_go_on() -> None:
    ended: list[str] = []
    running = asyncio.Event()

    async def work(_at: datetime) -> None:
        running.set()
        await asyncio.sleep(0.05)
        ended.append("work")

    schedule = Schedule(Observed())
    task = asyncio.create_task(schedule.run())
    schedule.add(Job("a", Timetable.of("a", timedelta(hours=1)), work))
    await running.wait()
    await stop(task)
    assert ended == ["work"]


async def test_a_loop_that_wakes_too_late_counts_what_it_missed() -> None:
    now = [datetime.fromisoformat("2026-01-01T00:00:00+00:00")]
    observed = Observed()

    async def work(_at: datetime) -> None:
        now[0] += timedelta(seconds=10)  # the machine slept

    schedule = Schedule(observed, clock=lambda: now[0])
    timetable = Timetable(timedelta(seconds=1), timedelta())
    schedule.add(Job("a", timetable, work, last_run=now[0]))
    now[0] += timedelta(seconds=1)
    task = asyncio.create_task(schedule.run())
    await until(lambda: observed.missed_ticks["late"] >= 9)
    await stop(task)
    assert observed.drifts[0] == timedelta()


async def test_a_run_that_is_asked_for_gives_its_result_without_any_timetable() -> None:
    observed = Observed()

    async def work(_at: datetime) -> str:
        return "done"

    assert await Schedule(observed).run_now("a", work) == "done"
    assert observed.starts == {"a": 1}


async def test_a_run_that_is_asked_for_waits_for_the_one_that_goes_on() -> None:
    schedule, release, running, most = Schedule(Observed()), asyncio.Event(), [0], [0]

    async def work(_at: datetime) -> int:
        running[0] += 1
        most[0] = max(most[0], running[0])
        await release.wait()
        running[0] -= 1
        return most[0]

    asked = [asyncio.create_task(schedule.run_now("a", work)) for _ in range(5)]
    await until(lambda: running[0] == 1)
    release.set()
    assert await asyncio.gather(*asked) == [1] * 5


async def test_who_asks_for_a_run_hears_what_it_raises() -> None:
    async def fail(_at: datetime) -> None:
        raise RuntimeError("a defect")

    schedule = Schedule(Observed())
    with pytest.raises(RuntimeError, match="a defect"):
        await schedule.run_now("a", fail)
    assert schedule.running == 0


async def test_a_continuous_check_begins_again_a_pause_after_its_end_and_misses_nothing() -> None:
    observed, ends, starts = Observed(), [0.0], list[float]()
    loop = asyncio.get_running_loop()

    async def work(_at: datetime) -> None:
        starts.append(loop.time())
        await asyncio.sleep(0.03)  # longer than its interval
        ends.append(loop.time())

    schedule = Schedule(observed)
    task = asyncio.create_task(schedule.run())
    schedule.add(Job("a", Timetable.of("a", TICK / 2), work, pause=TICK))
    await until(lambda: len(starts) >= 4)
    schedule.remove(["a"])
    await stop(task)
    assert all(start - end > 0.9 * TICK.total_seconds() for start, end in zip(starts[1:], ends[1:], strict=False))
    assert observed.missed_ticks == {}


async def test_a_clock_that_is_set_back_leaves_nothing_unchecked() -> None:
    ahead = [timedelta()]
    planned: list[datetime] = []

    async def work(at: datetime) -> None:
        planned.append(at)

    def clock() -> datetime:
        return datetime.now(UTC) + ahead[0]

    schedule = Schedule(Observed(), clock=clock)
    schedule.add(Job("a", Timetable.of("a", TICK), work))
    task = asyncio.create_task(schedule.run())
    await until(lambda: len(planned) >= 3)
    ahead[0] = -5 * HOUR
    before, set_back = len(planned), clock()
    schedule.add(Job("b", Timetable.of("b", HOUR), _nothing))  # wakes the loop, which else looks in five seconds
    await until(lambda: len(planned) >= before + 3)
    await stop(task)
    assert all(abs(at - set_back) < HOUR for at in planned[before + 1 :])


async def _nothing(_at: datetime) -> None:
    return
