"""Sends what the spool holds: in order within a run, several runs at a time, again and again until it is settled.

One loop reads the queue into a bounded window (`floe_sidecar.lanes`) and starts requests while the breaker
(`floe_sidecar.retries`) allows it; each answer settles its event, parks its run, or opens the breaker for all.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from floe_sidecar import batches
from floe_sidecar.dead_letters import buried
from floe_sidecar.destinations import Destination, TakesBatches
from floe_sidecar.lanes import Lane, Lanes, Wanted
from floe_sidecar.logs import log
from floe_sidecar.metrics import Clock, Outgoing
from floe_sidecar.records import Queued
from floe_sidecar.retries import Answer, Backoff, Breaker, Meaning, meaning, retry_after_seconds
from floe_sidecar.settlements import Settlements
from floe_sidecar.spool import Spool
from floe_sidecar.writer import Writer

_WINDOW_EVENTS = 256
_WINDOW_BYTES = 1024 * 1024
_KEY_LOOK_SECONDS = 1.0
_HURRIED_CAP_SECONDS = 1.0
_DETAIL_CHARACTERS = 500
_READ_AGAIN_SECONDS = 1.0

_Member = tuple[Lane, Queued]


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard is tried; units as in `floe_sidecar.settings`."""

    concurrency: int
    backoff: Backoff
    retry_after_cap_seconds: float
    poison_attempts: int


@dataclass(slots=True)
class LastSeen:
    """What people ask first about a backend; moments in seconds since the epoch."""

    success_at: float | None = None
    failure_at: float | None = None
    failure: str = ""


class Delivery:
    """The road from the spool to one destination."""

    def __init__(
        self,
        writer: Writer,
        destination: Destination,
        limits: Limits,
        metrics: Outgoing,
        *,
        batch_destination: TakesBatches | None = None,
        clock: Clock,
        wall_clock: Clock = time.time,
    ) -> None:
        self._writer = writer
        self._destination = destination
        self._limits = limits
        self._metrics = metrics
        self._batch_destination = batch_destination
        self._clock = clock
        self._wall_clock = wall_clock
        self._running: asyncio.Task[None] | None = None
        self._lanes = Lanes(max_events=_WINDOW_EVENTS, max_bytes=_WINDOW_BYTES)
        self._breaker = Breaker(limits.backoff)
        self._under_way: set[asyncio.Task[None]] = set()
        self._settlements = Settlements(writer)
        self._something_new = asyncio.Event()
        self._unread = True
        self._unreadable = False
        self._waits_for_key = False
        self.last = LastSeen()
        writer.on_new_events(self._notice)

    @property
    def under_way(self) -> int:
        """Requests that wait for their answer."""
        return len(self._under_way)

    @property
    def is_up(self) -> bool:
        """Whether the last answer was one of a backend that works."""
        return self._breaker.failures == 0

    @property
    def is_away(self) -> bool:
        """Whether the backend is known not to take anything now."""
        return self._breaker.is_open

    def start(self) -> None:
        """Begins to deliver, at the front of the queue."""
        self._running = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Delivers no more; requests under way are given up, and sent again by whoever goes on with the queue."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    async def _run(self) -> None:
        self._lanes = Lanes(max_events=_WINDOW_EVENTS, max_bytes=_WINDOW_BYTES)
        self._unread = True
        try:
            while True:
                self._something_new.clear()
                self._lanes.wake(self._clock())
                await self._read()
                self._start_requests()
                await self._wait()
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            self._settlements.write()
            self._destination.close()

    async def drain(self, *, within_seconds: float, patience_seconds: float | None = None) -> bool:
        """Returns True when nothing waits any more, False when the time is over; tries in quick succession until then.

        With a patience the time is over, too, when the backend is found away or takes nothing for that long.
        """
        started = moved_at = self._clock()
        deadline = started + within_seconds
        passes = self._breaker.passes
        backoff = self._breaker.backoff
        self._breaker.backoff = Backoff(
            backoff.base_seconds, min(backoff.cap_seconds, _HURRIED_CAP_SECONDS), backoff.draw
        )
        self._breaker.try_now()
        self._lanes.hurry(self._clock())
        self._something_new.set()
        while (left := deadline - self._clock()) > 0:
            self._settlements.write()
            waiting = await self._writer.ask(lambda spool: spool.events, or_else=0)
            if waiting == 0 and not self._under_way:
                return True
            if self._breaker.passes != passes:
                passes, moved_at = self._breaker.passes, self._clock()
            if patience_seconds is not None and (self.is_away or self._clock() - moved_at > patience_seconds):
                return False
            await asyncio.sleep(min(0.02, left))
        return False

    def _notice(self) -> None:
        self._unread = True
        self._something_new.set()

    async def _read(self) -> None:
        """Fills the window from the spool, first with what waiting lanes need."""
        self._unreadable = False
        while (wanted := self._lanes.wants()) is not None and self._lanes.has_room:
            again, more = await self._ask(_reading_again(wanted, *self._lanes.room))
            if self._unreadable:
                return
            self._lanes.admit_again(wanted, again, more=more)
        if self._unread and self._lanes.has_room:
            limit, size = self._lanes.room
            cursor = self._lanes.cursor
            self._unread = False
            events, more = await self._ask(lambda spool: spool.read_after(cursor, limit=limit, max_bytes=size))
            self._unread = self._unread or more
            self._lanes.admit(events)

    async def _ask(self, question: Callable[[Spool], tuple[list[Queued], bool]]) -> tuple[list[Queued], bool]:
        """What the spool holds; if it cannot be read now, nothing, and it is asked again a little later."""
        nothing: tuple[list[Queued], bool] = ([], True)
        answer = await self._writer.ask(question, or_else=nothing)
        self._unreadable = answer is nothing
        return answer

    def _start_requests(self) -> None:
        while (
            self._lanes.is_ready
            and len(self._under_way) < self._limits.concurrency
            and self._breaker.allows(self._clock(), under_way=len(self._under_way))
        ):
            taken = self._lanes.take()
            if taken is None:
                return
            members = [taken]
            if self._batch_destination is not None and not self._breaker.failures:
                members = self._lanes.take_more(taken, max_events=batches.MOST_EVENTS, max_bytes=batches.MOST_BYTES)
            destination = self._batch_destination
            if destination is None or len(members) == 1:
                task = asyncio.create_task(self._send(*taken))
            else:
                task = asyncio.create_task(self._send_batch(destination, members))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    async def _wait(self) -> None:
        """Until something may have changed: an answer, new events, a lane that is due, the breaker, the key."""
        moments = []
        if self._lanes.has_room and (self._unread or self._lanes.wants() is not None):
            if not self._unreadable:
                return
            moments.append(self._clock() + _READ_AGAIN_SECONDS)
        if self._lanes.next_due is not None:
            moments.append(self._lanes.next_due)
        if self._lanes.is_ready and not self._under_way:
            moments.append(self._breaker.open_until)
        timeout = max(0.0, min(moments) - self._clock()) if moments else None
        if self._waits_for_key and timeout is not None:
            timeout = min(timeout, _KEY_LOOK_SECONDS)
        try:
            async with asyncio.timeout(timeout):
                await self._something_new.wait()
        except TimeoutError:
            if self._waits_for_key and self._destination.refresh_credentials():
                self._breaker.try_now()

    async def _send(self, lane: Lane, event: Queued) -> None:
        if event.body is None:
            self._bury(lane, event, "damaged", "what was stored is not what was received")
            return
        started = self._clock()
        self._metrics.sent.add()
        answer = await self._destination.send(event, event.body)
        self._metrics.delivery_seconds.observe(self._clock() - started)
        why = meaning(answer)
        if why is Meaning.DELIVERED:
            self._passed(lane, event)
        elif why is Meaning.REJECTED:
            self._breaker_passed()
            self._bury(lane, event, f"status_{answer.status}", answer.detail)
        else:
            self._try_later(lane, event, answer, why)

    async def _send_batch(self, destination: TakesBatches, members: Sequence[_Member]) -> None:
        for lane, event in members:
            if event.body is None:
                self._bury(lane, event, "damaged", "what was stored is not what was received")
        members = [member for member in members if member[1].body is not None]
        if len(members) < 2:  # noqa: PLR2004 - no batch any more
            for lane, event in members:
                await self._send(lane, event)
            return
        started = self._clock()
        self._metrics.sent.add()
        events = [event for _, event in members]
        answer = await destination.send_batch(events, [event.body for event in events if event.body is not None])
        self._metrics.delivery_seconds.observe(self._clock() - started)
        match batches.verdict(answer, len(members)):
            case batches.Verdict.SETTLED:
                self._settle_batch(destination, members, answer)
            case batches.Verdict.WAIT:
                self._batch_waits(members, answer)
            case refused:
                if refused is batches.Verdict.NO_BATCHES:
                    log(logging.WARNING, "the backend takes no batches", status=answer.status)
                    self._batch_destination = None
                for lane, _ in members:
                    lane.alone = True
                    self._lanes.park(lane, self._clock())

    def _settle_batch(self, destination: TakesBatches, members: Sequence[_Member], answer: Answer) -> None:
        words = destination.without_secrets
        failed = {failure.index: failure for failure in batches.failures(answer) or ()}
        for index, (lane, event) in enumerate(members):
            failure = failed.get(index)
            if failure is None:
                self._passed(lane, event)
            elif failure.retriable:
                lane.alone = True
                lane.failures += 1
                self._metrics.retried.add(value=Meaning.FAILING)
                self._lanes.park(lane, self._clock() + self._breaker.backoff.delay(lane.failures))
            else:
                self._breaker_passed()
                self._bury(lane, event, "refused_in_batch", words(failure.reason))

    def _batch_waits(self, members: Sequence[_Member], answer: Answer) -> None:
        why, now = meaning(answer), self._clock()
        self._note_failure(answer)
        self._metrics.retried.add(len(members), value=why)
        self._breaker_failed(now, answer, why)
        for lane, _ in members:
            lane.failures += 1
            lane.alone = lane.alone or why is Meaning.AWAY
            self._lanes.park(lane, now + self._breaker.backoff.delay(lane.failures))

    def _passed(self, lane: Lane, event: Queued) -> None:
        self._breaker_passed()
        self._metrics.delivered.add()
        self.last.success_at = self._wall_clock()
        self._settlements.add(event.sequence)
        self._lanes.passed(lane)

    def _note_failure(self, answer: Answer) -> None:
        self.last.failure_at = self._wall_clock()
        self.last.failure = f"{answer.status or 'no answer'}: {answer.detail[:_DETAIL_CHARACTERS]}".rstrip(": ")

    def _try_later(self, lane: Lane, event: Queued, answer: Answer, why: Meaning) -> None:
        now = self._clock()
        self._note_failure(answer)
        others_passed = self._breaker.passes > lane.passes_seen
        lane.failures += 1
        if (answer.status or 0) >= 500 and (others_passed or lane.failures == 1):  # noqa: PLR2004 - server errors
            lane.poison += 1
        lane.passes_seen = self._breaker.passes
        if lane.poison >= self._limits.poison_attempts and others_passed:
            self._bury(lane, event, "poison", f"status {answer.status}: {answer.detail}")
            return
        self._metrics.retried.add(value=why)
        self._breaker_failed(now, answer, why)
        self._lanes.park(lane, now + self._breaker.backoff.delay(lane.failures))

    def _breaker_passed(self) -> None:
        if self._breaker.failures:
            log(logging.INFO, f"the {self._destination.what} works again", backend=self._destination.name)
        self._waits_for_key = False
        self._breaker.passed()

    def _breaker_failed(self, now: float, answer: Answer, why: Meaning) -> None:
        if self._breaker.failures == 0:
            log(
                logging.WARNING,
                f"the {self._destination.what} does not take an event; it is tried again",
                backend=self._destination.name,
                reason=why,
                answer=self.last.failure,
                waiting_events=self._writer.level.events,
            )
        asked = retry_after_seconds(answer.retry_after, self._wall_clock()) if answer.retry_after else None
        if asked is not None:
            asked = min(asked, self._limits.retry_after_cap_seconds)
        self._breaker.failed(now, why, asked_seconds=asked)
        if why is Meaning.UNAUTHORISED:
            self._waits_for_key = True
            if self._destination.refresh_credentials():
                self._breaker.try_now()

    def _bury(self, lane: Lane, event: Queued, reason: str, detail: str) -> None:
        """Makes a dead letter of the event; its run goes on with the next one."""
        self._writer.settle([], buried([event], reason, detail, self._metrics))
        self._lanes.passed(lane)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._something_new.set()
        if not task.cancelled() and task.exception() is not None:
            # A defect of ours: the run stays as it is until the next start, the others go on.
            logging.getLogger("floe_sidecar").error("a delivery failed", exc_info=task.exception())


def _reading_again(wanted: Wanted, limit: int, size: int) -> Callable[[Spool], tuple[list[Queued], bool]]:
    def read(spool: Spool) -> tuple[list[Queued], bool]:
        return spool.read_run(wanted.run, first=wanted.first, last=wanted.last, limit=limit, max_bytes=size)

    return read
