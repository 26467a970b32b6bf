"""What one replica does for all: started when it leads, ended when it does not, started again when it fails."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from floe_certs.api import RefusedError
from floe_core.logging import configure_logging
from floe_webhook.leading import LONGEST_PAUSE_SECONDS, keep_running, lead
from webhook.tests.leading.clock import Clock

pytestmark = pytest.mark.requirement("HOUSE-11")


@dataclass
class Work:
    """A duty that goes on until it is cancelled, or fails as often as it is told.

    Attributes:
        fails: What it raises in its first runs.
        lasts: How long each run goes on before it fails.
    """

    clock: Clock
    fails: list[Exception] = field(default_factory=list)
    lasts: float = 0.0
    started_at: list[float] = field(default_factory=list)
    running: int = 0

    async def run(self) -> None:
        self.started_at.append(round(self.clock.time, 1))
        self.running += 1
        try:
            if self.fails:
                if self.lasts:
                    await self.clock.sleep(self.lasts)
                raise self.fails.pop(0)
            await asyncio.Event().wait()
        finally:
            self.running -= 1


@dataclass
class Replica:
    """One that may lead."""

    clock: Clock = field(default_factory=Clock)
    is_leader: bool = False
    failures: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def leading(self, **duties: Work) -> AsyncIterator[None]:
        task = asyncio.create_task(
            lead(
                duties,
                lambda: self.is_leader,
                self.failures.append,
                sleep=self.clock.sleep,
                monotonic=self.clock.monotonic,
            )
        )
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def test_duties_run_only_while_it_leads() -> None:
    replica = Replica()
    one, other = Work(replica.clock), Work(replica.clock)
    async with replica.leading(one=one, other=other):
        await replica.clock.pass_by(5)
        assert (one.running, other.running) == (0, 0)
        replica.is_leader = True
        await replica.clock.pass_by(1)
        assert (one.running, other.running) == (1, 1)
        replica.is_leader = False
        await replica.clock.pass_by(1)
        assert (one.running, other.running) == (0, 0)
        replica.is_leader = True
        await replica.clock.pass_by(1)
        assert (one.running, len(one.started_at)) == (1, 2)
    assert (one.running, other.running) == (0, 0), "they end with the program"
    assert replica.failures == []


async def test_a_duty_that_fails_is_started_again_ever_later_and_disturbs_no_other() -> None:
    replica = Replica(is_leader=True)
    failing = Work(replica.clock, fails=[ValueError("x") for _ in range(8)])
    other = Work(replica.clock)
    async with replica.leading(failing=failing, other=other):
        await replica.clock.pass_by(200)
        assert failing.running == 1
    assert failing.started_at == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert replica.failures == ["failing"] * 8
    assert len(other.started_at) == 1


async def test_after_a_long_run_the_pause_is_short_again() -> None:
    replica = Replica(is_leader=True)
    work = Work(replica.clock, fails=[ValueError(), ValueError(), ValueError()], lasts=LONGEST_PAUSE_SECONDS)
    async with replica.leading(work=work):
        await replica.clock.pass_by(200)
    assert work.started_at == [0, 61, 122, 183]


async def test_leading_that_ends_while_a_duty_pauses_does_not_start_it_again() -> None:
    replica = Replica(is_leader=True)
    work = Work(replica.clock, fails=[ValueError()])
    async with replica.leading(work=work):
        await replica.clock.pass_by(0.5)
        replica.is_leader = False
        await replica.clock.pass_by(60)
    assert work.started_at == [0]


async def test_a_task_that_ends_by_itself_is_counted_and_started_again() -> None:
    clock = Clock()
    ran: list[float] = []
    failures: list[str] = []

    async def run() -> None:
        ran.append(clock.time)

    task = asyncio.create_task(
        keep_running("short", run, failures.append, sleep=clock.sleep, monotonic=clock.monotonic)
    )
    await clock.pass_by(1.5)
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert len(ran) == 2
    assert failures == ["short", "short"]


async def test_a_task_that_swallows_its_cancellation_is_not_started_again() -> None:
    ran, started = [], asyncio.Event()

    async def run() -> None:
        ran.append(1)
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    task = asyncio.create_task(keep_running("deaf", run, lambda _: None))
    await started.wait()
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert task.done()
    assert ran == [1]


@pytest.mark.requirement("HOUSE-7", "HOUSE-12")
@pytest.mark.parametrize(
    ("error", "told"),
    [
        pytest.param(ValueError("hunter2"), "ValueError", id="a stranger's text may hold a pod's values"),
        pytest.param(RefusedError("GET /api/v1/pods: 403"), "GET /api/v1/pods: 403", id="ours says what is wrong"),
    ],
)
async def test_a_failure_is_logged_with_its_place(error: Exception, told: str) -> None:
    lines = io.StringIO()
    configure_logging(stream=lines)
    clock = Clock()
    task = asyncio.create_task(keep_running("work", Work(clock, fails=[error]).run, lambda _: None, sleep=clock.sleep))
    await clock.pass_by(0.1)
    task.cancel()
    await asyncio.wait([task], timeout=10)
    line = json.loads(lines.getvalue().splitlines()[0])
    assert (line["event"], line["task"], line["reason"]) == ("task failed", "work", told)
    assert any("test_duties_of_the_leader.py" in place for place in line["at"])
    assert "hunter2" not in lines.getvalue()
