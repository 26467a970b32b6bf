"""Which event may be sent next: in order within a run, and no run waits for another.

A lane is a run that has events to send. Pure: no clock, no disk, no network. Of a long queue only a bounded window is
in memory; what a lane leaves out stays in the spool and is read again when the lane needs it.

    spool --admit--> lane [e1 e2 e3] --take--> sending e1 --passed--> e2 is next
                          '-- parked: e1 … stay in the spool until the lane is due, then `wants` says what to read
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from floe_sidecar.records import Queued


@dataclass(slots=True)
class Lane:
    """One run's events, oldest first, and how its first one fared."""

    run: str
    waiting: deque[Queued] = field(default_factory=deque)
    sending: Queued | None = None
    # Where in the spool the lane's next event is, at the earliest, if the lane does not hold all of them.
    resume_at: int | None = None
    parked: bool = False
    # Whether its first event has to be sent in a request of its own, because a batch with it failed.
    alone: bool = False
    failures: int = 0
    poison: int = 0
    passes_seen: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a lane has to read from the spool again: the events of `run` from `first` to `last`."""

    run: str
    first: int
    last: int


class Lanes:
    """The window over the queue."""

    def __init__(self, *, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._lanes: dict[str, Lane] = {}
        self._ready: deque[Lane] = deque()
        self._due: list[tuple[float, str]] = []
        self._wanting: deque[Lane] = deque()
        self._events = 0
        self._bytes = 0
        self.cursor = 0
        """The highest sequence that was read."""

    @property
    def has_room(self) -> bool:
        """Whether more of the queue may be read."""
        return self._events < self._max_events and self._bytes < self._max_bytes

    @property
    def room(self) -> tuple[int, int]:
        """How many events and bytes more may be read."""
        return max(1, self._max_events - self._events), max(1, self._max_bytes - self._bytes)

    @property
    def is_ready(self) -> bool:
        """Whether some event may be sent now."""
        return bool(self._ready)

    @property
    def next_due(self) -> float | None:
        """When the next parked lane may go on, if one is parked."""
        return self._due[0][0] if self._due else None

    def admit(self, events: Sequence[Queued]) -> None:
        """Takes the queue's next events, as they were read after `cursor`."""
        for event in events:
            self.cursor = event.sequence
            lane = self._lanes.get(event.run)
            if lane is None:
                lane = self._lanes[event.run] = Lane(event.run)
                self._ready.append(lane)
            if lane.resume_at is None:
                self._hold(lane, event)

    def wants(self) -> Wanted | None:
        """What has to be read for a lane before it can go on; answer it with `admit_again`."""
        if not self._wanting:
            return None
        lane = self._wanting[0]
        return Wanted(lane.run, lane.resume_at or 0, self.cursor)

    def admit_again(self, wanted: Wanted, events: Sequence[Queued], *, more: bool) -> None:
        """Takes what was read for the lane that `wants` named."""
        lane = self._wanting.popleft()
        lane.resume_at = (events[-1].sequence + 1 if events else wanted.last + 1) if more else None
        for event in events:
            self._hold(lane, event)
        if lane.waiting:
            self._ready.append(lane)
        else:
            del self._lanes[lane.run]

    def take(self) -> tuple[Lane, Queued] | None:
        """The next event to send, of the lane that has waited longest, which sends nothing else until it is settled."""
        if not self._ready:
            return None
        lane = self._ready.popleft()
        lane.sending = lane.waiting.popleft()
        return lane, lane.sending

    def take_more(self, taken: tuple[Lane, Queued], *, max_events: int, max_bytes: int) -> list[tuple[Lane, Queued]]:
        """What may go in one request with an event that was taken: the next events of other lanes, one of each."""
        members = [taken]
        size = taken[1].size
        while self._ready and len(members) < max_events and not members[0][0].alone:
            following = self._ready[0]
            size += following.waiting[0].size
            if following.alone or size > max_bytes or (more := self.take()) is None:
                break
            members.append(more)
        return members

    def passed(self, lane: Lane) -> None:
        """The event that was sent is settled, delivered or dead: the next one may follow."""
        self._release(lane)
        lane.failures = lane.poison = 0
        lane.alone = False
        if lane.waiting:
            self._ready.append(lane)
        elif lane.resume_at is not None:
            self._wanting.append(lane)
        else:
            del self._lanes[lane.run]

    def park(self, lane: Lane, until: float) -> None:
        """The event that was sent has to be sent again, not before `until`; the lane's events leave the memory."""
        assert lane.sending is not None  # noqa: S101 - only a taken lane is parked
        lane.resume_at = lane.sending.sequence
        self._release(lane)
        for event in lane.waiting:
            self._let_go(event)
        lane.waiting.clear()
        lane.parked = True
        heapq.heappush(self._due, (until, lane.run))

    def wake(self, now: float) -> None:
        """Lets the lanes go on whose time has come."""
        while self._due and self._due[0][0] <= now:
            lane = self._lanes[heapq.heappop(self._due)[1]]
            lane.parked = False
            self._wanting.append(lane)

    def hurry(self, until: float) -> None:
        """No parked lane waits longer than `until`."""
        self._due = [(min(due, until), run) for due, run in self._due]
        heapq.heapify(self._due)

    def _hold(self, lane: Lane, event: Queued) -> None:
        lane.waiting.append(event)
        self._events += 1
        self._bytes += event.size

    def _release(self, lane: Lane) -> None:
        if lane.sending is not None:
            self._let_go(lane.sending)
            lane.sending = None

    def _let_go(self, event: Queued) -> None:
        self._events -= 1
        self._bytes -= event.size
