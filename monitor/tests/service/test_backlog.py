"""Runs that wait for the store, in little memory."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_monitor.service.backlog import Backlog
from floe_monitor.store.records import CheckRun
from monitor.tests.builders import NOW, check_run, contract, outcome

pytestmark = pytest.mark.requirement("FR-002", "HOUSE-10")
RUNS = [
    check_run(outcome("error" if number % 7 == 0 else None), of=one, at=NOW + timedelta(seconds=number))
    for number, one in enumerate([contract(name="a"), contract(name="b")] * 2500)
]


def drained(backlog: Backlog, *, batch: int = 100) -> list[CheckRun]:
    """Everything, as a writer takes it."""
    found: list[CheckRun] = []
    while len(backlog):
        runs = backlog.oldest(batch)
        backlog.discard({run.id for run in runs})
        found += runs
    return found


def filled(runs: list[CheckRun], capacity: int = 10_000) -> Backlog:
    backlog = Backlog(capacity)
    for run in runs:
        backlog.put(run)
    return backlog


@pytest.mark.parametrize("number", [0, 1, 99, 999, 1000, 1001, 5000])
def test_what_was_put_in_comes_out_as_it_was_in_its_order(number: int) -> None:
    assert drained(filled(RUNS[:number])) == RUNS[:number]


def test_a_packed_run_has_the_contract_itself_not_a_copy() -> None:
    assert {id(run.contract) for run in drained(filled(RUNS))} == {id(run.contract) for run in RUNS}


def test_the_oldest_go_when_it_is_full() -> None:
    backlog, dropped = Backlog(2000), 0
    for run in RUNS:
        dropped += backlog.put(run)
    assert dropped == len(RUNS) - len(backlog)
    assert len(backlog) <= 2000
    assert drained(backlog) == RUNS[dropped:]


def test_a_batch_stays_until_it_is_discarded() -> None:
    backlog = filled(RUNS[:3000])
    assert backlog.oldest(100) == backlog.oldest(100) == RUNS[:100]
    assert len(backlog) == 3000


def test_what_is_not_wanted_goes_wherever_it_waits() -> None:
    backlog = filled(RUNS)
    backlog.oldest(10)
    assert backlog.keep(lambda run: run.contract.id.name.endswith("/a")) == 2500
    assert drained(backlog) == RUNS[::2]


def test_packed_runs_take_a_fraction_of_their_memory() -> None:
    backlog = filled(RUNS)
    packed = sum(len(one.content) for one in backlog._packed)
    assert packed / sum(one.runs for one in backlog._packed) < 300


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 5)), max_size=12), st.sampled_from([300, 1500, 4000]))
def test_it_holds_what_a_plain_queue_would(steps: list[tuple[int, int]], capacity: int) -> None:
    """Putting and taking in any order, and dropping from the old end only."""
    backlog, plain, runs = Backlog(capacity), list[UUID](), iter(RUNS * 2)
    for put, batches in steps:
        for _ in range(put):
            run = replace(next(runs))
            dropped = backlog.put(run)
            plain = [*plain, run.id][dropped:] if dropped else [*plain, run.id]
        for _ in range(batches):
            batch = {run.id for run in backlog.oldest(100)}
            assert batch == set(plain[: len(batch)])
            backlog.discard(batch)
            plain = plain[len(batch) :]
        assert len(backlog) == len(plain) <= capacity
    assert [run.id for run in drained(backlog)] == plain
