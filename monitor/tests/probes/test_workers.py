"""Threads for calls of plugins: bounded, and left behind when they hang."""

import asyncio
import itertools
import threading
from contextlib import suppress
from datetime import timedelta

import pytest

from floe_core.errors import ConnectionError, ExecutionError  # noqa: A004 - the interfaces' name
from floe_monitor.probes.workers import TRIALS, SourceTimeoutError, Workers
from monitor.tests.builders import until

pytestmark = pytest.mark.requirement("FR-022")
SOON = timedelta(milliseconds=30)
LATER = timedelta(seconds=10)


async def test_a_call_gives_its_result_or_its_error() -> None:
    workers = Workers()
    assert await workers.call("a", lambda: 7, LATER) == 7
    with pytest.raises(ZeroDivisionError):
        await workers.call("a", lambda: 1 // 0, LATER)


async def test_a_call_that_hangs_ends_with_the_timeout_and_is_left_behind() -> None:
    workers, release = Workers(), threading.Event()
    with pytest.raises(SourceTimeoutError, match=r"a did not answer within 0\.03 s \(timeout\)"):
        await workers.call("a", release.wait, SOON)
    assert workers.abandoned("a") == 1
    release.set()
    await until(lambda: workers.abandoned("a") == 0)


async def test_a_source_with_too_many_hung_calls_is_not_called_until_one_comes_back() -> None:
    workers, release = Workers(abandoned_per_source=2), threading.Event()
    for _ in range(2):
        with pytest.raises(SourceTimeoutError):
            await workers.call("a", release.wait, SOON)
    with pytest.raises(ConnectionError, match="2 earlier calls have not come back"):
        await workers.call("a", lambda: 7, LATER)
    release.set()
    await until(lambda: workers.abandoned("a") == 0)
    assert await workers.call("a", lambda: 7, LATER) == 7


async def test_a_source_that_hangs_takes_no_threads_of_another() -> None:
    workers, release = Workers(per_source=1), threading.Event()
    hung = asyncio.create_task(workers.call("slow", release.wait, LATER))
    assert await workers.call("quick", lambda: 7, LATER) == 7
    release.set()
    await hung


async def test_no_more_calls_of_one_source_go_on_at_once_than_allowed() -> None:
    workers, lock, now, most = Workers(per_source=3), threading.Lock(), [0], [0]

    def call() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.005)
        with lock:
            now[0] -= 1

    await asyncio.gather(*(workers.call("a", call, LATER) for _ in range(20)))
    assert most[0] == 3


async def test_waiting_for_a_free_thread_counts_into_the_timeout() -> None:
    workers, release = Workers(per_source=1), threading.Event()
    first = asyncio.create_task(workers.call("a", release.wait, LATER))
    await asyncio.sleep(0)
    with pytest.raises(SourceTimeoutError):
        await workers.call("a", lambda: 7, SOON)
    assert workers.abandoned("a") == 0
    release.set()
    await first


async def test_calls_that_wait_for_a_source_that_begins_to_hang_start_no_thread() -> None:
    """Ten times as many calls as threads: those that hang keep their places."""
    workers, release = Workers(per_source=5, abandoned_per_source=2, first_pause=LATER), threading.Event()
    started = itertools.count()

    def hang() -> None:
        next(started)
        release.wait()

    calls = [workers.call("a", hang, (1 + index / 20) * SOON) for index in range(50)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, (SourceTimeoutError, ConnectionError)) for end in ends)
    assert next(started) == workers.abandoned("a") == 5
    release.set()
    await until(lambda: workers.abandoned("a") == 0)
    assert await asyncio.gather(*(workers.call("a", lambda: 7, LATER) for _ in range(20))) == [7] * 20


async def hanging(workers: Workers, release: threading.Event, calls: int) -> None:
    for _ in range(calls):
        with pytest.raises(SourceTimeoutError):
            await workers.call("a", release.wait, SOON)


async def test_a_source_whose_calls_never_come_back_is_asked_again_after_a_pause() -> None:
    workers, release = Workers(abandoned_per_source=2, first_pause=SOON), threading.Event()
    await hanging(workers, release, 2)
    answers: list[int] = []

    async def answers_again() -> bool:
        with suppress(ConnectionError):
            answers.append(await workers.call("a", lambda: 7, LATER))
        return bool(answers)

    await until(answers_again)
    assert workers.abandoned("a") == 2
    assert await asyncio.gather(*(workers.call("a", lambda: 7, LATER) for _ in range(20))) == [7] * 20
    release.set()


async def test_hung_threads_have_a_bound_however_long_a_source_hangs() -> None:
    workers, release = Workers(per_source=3, abandoned_per_source=2, first_pause=timedelta()), threading.Event()
    refused = 0
    for _ in range(30):
        try:
            await workers.call("a", release.wait, timedelta(milliseconds=5))
        except ConnectionError:
            refused += 1
        except SourceTimeoutError:
            continue
    assert workers.abandoned("a") == 2 + TRIALS
    assert refused == 30 - 2 - TRIALS
    release.set()
    await until(lambda: workers.abandoned("a") == 0)
    assert await workers.call("a", lambda: 7, LATER) == 7


async def test_an_answer_that_is_an_error_is_an_answer() -> None:
    workers, release = Workers(abandoned_per_source=2, first_pause=timedelta()), threading.Event()
    await hanging(workers, release, 2)
    with pytest.raises(ZeroDivisionError):
        await workers.call("a", lambda: 1 // 0, LATER)
    assert await asyncio.gather(*(workers.call("a", lambda: 7, LATER) for _ in range(20))) == [7] * 20
    release.set()


async def test_a_thread_that_cannot_be_started_costs_its_call_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    workers = Workers(per_source=1)
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ExecutionError, match="no thread can be started"):
            await workers.call("warehouse", lambda: 1, LATER)
    assert await workers.call("warehouse", lambda: 1, LATER) == 1
