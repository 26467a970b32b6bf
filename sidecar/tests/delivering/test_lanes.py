"""Which event is next: the order within a run, and the independence of runs, over every interleaving."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from floe_sidecar.lanes import Lane, Lanes
from floe_sidecar.records import Queued

pytestmark = pytest.mark.requirement("RELAY-3")


def queued(sequence: int, run: str, size: int = 100) -> Queued:
    return Queued(sequence, run, 0.0, size, b"", b"")


def taken(lanes: Lanes) -> tuple[Lane, Queued]:
    next_one = lanes.take()
    assert next_one is not None
    return next_one


def test_a_run_sends_one_event_at_a_time_and_runs_take_turns() -> None:
    lanes = Lanes(max_events=10, max_bytes=10_000)
    lanes.admit([queued(1, "a"), queued(2, "a"), queued(3, "b")])
    (first, one), (second, three) = taken(lanes), taken(lanes)
    assert (one.sequence, three.sequence, lanes.take()) == (1, 3, None)
    lanes.passed(second)
    assert lanes.take() is None
    lanes.passed(first)
    assert taken(lanes)[1].sequence == 2


def test_a_parked_run_leaves_the_memory_and_reads_its_events_again_when_it_is_due() -> None:
    lanes = Lanes(max_events=2, max_bytes=10_000)
    lanes.admit([queued(1, "a"), queued(2, "a")])
    full = not lanes.has_room
    lane, _ = taken(lanes)
    lanes.park(lane, until=5.0)
    assert (full, lanes.has_room) == (True, True)
    lanes.admit([queued(3, "a"), queued(4, "b")])
    assert taken(lanes)[1].sequence == 4
    lanes.wake(4.9)
    assert (lanes.wants(), lanes.next_due) == (None, 5.0)
    lanes.wake(5.0)
    wanted = lanes.wants()
    assert wanted is not None
    assert (wanted.run, wanted.first, wanted.last) == ("a", 1, 4)
    lanes.admit_again(wanted, [queued(1, "a")], more=True)
    again, event = taken(lanes)
    assert event.sequence == 1
    lanes.passed(again)
    more = lanes.wants()
    assert more is not None
    assert more.first == 2


def test_a_lane_whose_events_have_gone_ends() -> None:
    lanes = Lanes(max_events=2, max_bytes=10_000)
    lanes.admit([queued(1, "a")])
    lanes.park(taken(lanes)[0], until=0.0)
    lanes.wake(0.0)
    wanted = lanes.wants()
    assert wanted is not None
    lanes.admit_again(wanted, [], more=False)
    assert (lanes.is_ready, lanes.wants(), lanes.next_due) == (False, None, None)


def test_hurrying_makes_no_lane_wait_longer() -> None:
    lanes = Lanes(max_events=9, max_bytes=10_000)
    lanes.admit([queued(1, "a"), queued(2, "b")])
    lanes.park(taken(lanes)[0], until=50.0)
    lanes.park(taken(lanes)[0], until=1.0)
    lanes.hurry(2.0)
    assert lanes.next_due == 1.0
    lanes.wake(2.0)
    assert lanes.next_due is None


class Delivering(RuleBasedStateMachine):
    """Events come, requests end well or badly, time passes, the spool is read in pieces; a simple model watches."""

    under_way = Bundle("under_way")

    @initialize(window=st.integers(1, 5), piece=st.integers(1, 4))
    def begin(self, window: int, piece: int) -> None:
        self.lanes = Lanes(max_events=window, max_bytes=10_000)
        self.piece = piece
        self.spool: dict[int, str] = {}
        self.settled: dict[str, list[int]] = {}
        self.sending: dict[str, tuple[Lane, Queued]] = {}
        self.last = 0
        self.now = 0.0

    @rule(run=st.sampled_from("abc"))
    def an_event_comes(self, run: str) -> None:
        self.last += 1
        self.spool[self.last] = run

    @rule()
    def the_queue_is_read(self) -> None:
        if self.lanes.has_room:
            rows = [queued(number, run) for number, run in sorted(self.spool.items()) if number > self.lanes.cursor]
            self.lanes.admit(rows[: self.piece])

    @rule()
    def a_lane_is_read(self) -> None:
        wanted = self.lanes.wants()
        if wanted is not None and self.lanes.has_room:
            rows = [
                queued(number, run)
                for number, run in sorted(self.spool.items())
                if run == wanted.run and wanted.first <= number <= wanted.last
            ]
            self.lanes.admit_again(wanted, rows[: self.piece], more=len(rows) > self.piece)

    @rule(target=under_way)
    def a_request_starts(self) -> object:
        next_one = self.lanes.take()
        if next_one is None:
            return multiple()
        _, event = next_one
        assert event.run not in self.sending
        assert event.sequence == min(number for number, run in self.spool.items() if run == event.run)
        self.sending[event.run] = next_one
        return next_one

    @rule(sent=consumes(under_way))
    def a_request_ends_well(self, sent: tuple[Lane, Queued]) -> None:
        lane, event = sent
        del self.sending[event.run]
        del self.spool[event.sequence]
        self.settled.setdefault(event.run, []).append(event.sequence)
        self.lanes.passed(lane)

    @rule(sent=consumes(under_way), delay=st.integers(0, 3))
    def a_request_ends_badly(self, sent: tuple[Lane, Queued], delay: int) -> None:
        lane, event = sent
        del self.sending[event.run]
        self.lanes.park(lane, self.now + delay)

    @rule()
    def time_passes(self) -> None:
        self.now += 1
        self.lanes.wake(self.now)

    @invariant()
    def every_run_is_in_order(self) -> None:
        for numbers in getattr(self, "settled", {}).values():
            assert numbers == sorted(numbers)

    def teardown(self) -> None:
        """Whatever happened, everything is delivered if the backend takes it from now on."""
        if not hasattr(self, "lanes"):
            return
        for sent in list(self.sending.values()):
            self.a_request_ends_well(sent)
        for _ in range(20 * (len(self.spool) + 1)):
            self.time_passes()
            self.time_passes()
            self.the_queue_is_read()
            self.a_lane_is_read()
            next_one = self.lanes.take()
            if next_one is not None:
                del self.spool[next_one[1].sequence]
                self.lanes.passed(next_one[0])
        assert not self.spool


def test_no_interleaving_reorders_a_run_or_leaves_an_event_behind() -> None:
    run_state_machine_as_test(Delivering, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))
