"""Arrays of events to a backend that answers for each (OpenLineage 2.0.2): what is taken, refused and tried again."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_sidecar.batches import ANSWER_BYTES, Failure, Verdict, encode, failures, verdict
from floe_sidecar.lanes import Lanes
from floe_sidecar.records import Queued
from floe_sidecar.retries import Answer
from sidecar.tests.builders import body, post, relay, run_id, until
from sidecar.tests.standins import BackendStandIn, Post, Reply

pytestmark = pytest.mark.requirement("RELAY-3", "RELAY-4")

BATCHES = {"lineage_batch_endpoint": "api/v1/lineage/batch"}
RUNS = 30


def members(seen: Post) -> list[dict[str, Any]]:
    """The events of a request, whichever endpoint it went to."""
    document = json.loads(seen.body)
    return document if isinstance(document, list) else [document]


def partial(*failed: tuple[int, str, bool]) -> Reply:
    """The specification's answer to a batch of which some failed."""
    listed = [{"index": index, "reason": reason, "retriable": again} for index, reason, again in failed]
    return Reply(200, body=json.dumps({"status": "partial_success", "failed_events": listed}).encode())


class Receiving:
    """A backend that takes arrays as the specification says; `judge` says why an event fails, if it does."""

    def __init__(self, judge: Callable[[dict[str, Any]], tuple[str, bool] | None] = lambda _event: None) -> None:
        self.judge = judge
        self.taken: list[dict[str, Any]] = []
        self.sizes: list[int] = []

    def __call__(self, seen: Post) -> Reply:
        events = members(seen)
        if not seen.path.endswith("/batch"):
            why = self.judge(events[0])
            if why is not None:
                return Reply(500 if why[1] else 400, body=why[0].encode())
            self.taken += events
            return Reply(201)
        self.sizes.append(len(events))
        failed = []
        for index, event in enumerate(events):
            if (why := self.judge(event)) is None:
                self.taken.append(event)
            else:
                failed.append((index, *why))
        return partial(*failed) if failed else Reply(204)

    def numbers_by_run(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = defaultdict(list)
        for event in self.taken:
            found[event["run"]["runId"]].append(int(event["eventTime"][20:26]))
        return found


async def fill(port: int, *, runs: int = RUNS, each: int = 4) -> None:
    bodies = [json.loads(body(run, "OTHER", number)) for number in range(each) for run in range(runs)]
    assert (await post(port, json.dumps(bodies).encode(), "/api/v1/lineage/batch")).status == 200


async def test_what_waits_goes_in_batches_one_event_of_a_run_in_each_and_in_order(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    receiving = Receiving()
    backend.answer = receiving
    async with relay(tmp_path, lineage_url=backend.url, lineage_concurrency=2, **BATCHES) as sidecar:
        await fill(sidecar.application.port)
        await until(lambda: sidecar.writer.level.events == 0)
    assert receiving.numbers_by_run() == {run_id(run): [0, 1, 2, 3] for run in range(RUNS)}
    assert len(backend.posts) < RUNS
    for seen in backend.posts:
        runs = [event["run"]["runId"] for event in members(seen)]
        assert len(runs) == len(set(runs))
    batch = next(seen for seen in backend.posts if seen.path.endswith("/batch"))
    assert (batch.path, len(batch.headers["idempotency-key"])) == ("/api/v1/lineage/batch", 32)


async def test_a_refused_member_is_a_dead_letter_with_its_reason_and_holds_up_nobody(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    bad = run_id(7)
    refused = ("no such job; key k-secret-1", False)
    receiving = Receiving(
        lambda event: refused if event["run"]["runId"] == bad and event["eventTime"].startswith(FIRST) else None
    )
    backend.answer = receiving
    given = {"lineage_url": backend.url, "lineage_concurrency": 1, "lineage_api_key": "k-secret-1", **BATCHES}
    async with relay(tmp_path, **given) as sidecar:
        await fill(sidecar.application.port)
        await until(lambda: sidecar.writer.level.events == 0)
        await until(lambda: sidecar.writer.level.dead_letters == 1)
        letters: list[tuple[str, str, str]] = await sidecar.writer.ask(
            lambda spool: spool.connection.execute("SELECT run, reason, detail FROM dead_letters").fetchall(),
            or_else=[],
        )
    assert letters == [(bad, "refused_in_batch", "no such job; key ***")]
    everyone = {run_id(run): [0, 1, 2, 3] for run in range(RUNS)}
    assert receiving.numbers_by_run() == everyone | {bad: [1, 2, 3]}


FIRST = "2026-11-21T10:00:00.000000"


async def test_a_member_that_may_pass_later_is_sent_again_alone_and_nothing_of_its_run_overtakes_it(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    late = run_id(3)
    left = [3]

    def judge(event: dict[str, Any]) -> tuple[str, bool] | None:
        if event["run"]["runId"] != late or not event["eventTime"].startswith(FIRST) or not left[0]:
            return None
        left[0] -= 1
        return "locked", True

    receiving = Receiving(judge)
    backend.answer = receiving
    async with relay(tmp_path, lineage_url=backend.url, lineage_concurrency=1, **BATCHES) as sidecar:
        await fill(sidecar.application.port)
        await until(lambda: sidecar.writer.level.events == 0)
    assert receiving.numbers_by_run() == {run_id(run): [0, 1, 2, 3] for run in range(RUNS)}
    again = [seen for seen in backend.posts if not seen.path.endswith("/batch") and seen.run == late]
    assert len(again) >= 3


@pytest.mark.parametrize("status", [400, 413, 500])
async def test_a_batch_that_is_refused_as_a_whole_is_taken_apart(
    tmp_path: Path, backend: BackendStandIn, status: int
) -> None:
    receiving = Receiving()
    backend.answer = lambda seen: Reply(status) if len(members(seen)) > 1 else receiving(seen)
    async with relay(tmp_path, lineage_url=backend.url, **BATCHES) as sidecar:
        await fill(sidecar.application.port, runs=12, each=2)
        await until(lambda: sidecar.writer.level.events == 0)
        assert sidecar.writer.level.dead_letters == 0
    assert receiving.numbers_by_run() == {run_id(run): [0, 1] for run in range(12)}


async def test_a_backend_without_the_endpoint_is_asked_for_batches_no_more(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    receiving = Receiving()
    backend.answer = lambda seen: Reply(404) if seen.path.endswith("/batch") else receiving(seen)
    async with relay(tmp_path, lineage_url=backend.url, lineage_concurrency=1, **BATCHES) as sidecar:
        await fill(sidecar.application.port)
        await until(lambda: sidecar.writer.level.events == 0)
    assert receiving.numbers_by_run() == {run_id(run): [0, 1, 2, 3] for run in range(RUNS)}
    assert sum(seen.path.endswith("/batch") for seen in backend.posts) == 1


async def test_an_answer_to_a_batch_counts_after_another_one_was_told_that_there_are_no_batches(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    receiving = Receiving()
    batches: list[Post] = []

    def answer(seen: Post) -> Reply:
        if not seen.path.endswith("/batch"):
            return receiving(seen)
        batches.append(seen)
        # Of two replicas behind one name the older one has no such endpoint, and says so first.
        return Reply(404) if len(batches) == 1 else dataclasses.replace(receiving(seen), after_seconds=0.3)

    backend.answer = answer
    async with relay(tmp_path, lineage_url=backend.url, lineage_concurrency=2, **BATCHES) as sidecar:
        await fill(sidecar.application.port, runs=150, each=1)
        await until(lambda: sidecar.writer.level.events == 0)
    assert len(batches) == 2
    assert receiving.numbers_by_run() == {run_id(run): [0] for run in range(150)}


async def test_a_batch_that_the_backend_cannot_get_through_in_time_is_taken_apart(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    receiving = Receiving()
    batches: list[Post] = []

    def answer(seen: Post) -> Reply:
        if len(members(seen)) == 1:
            return receiving(seen)
        batches.append(seen)
        return Reply(silent=True)

    backend.answer = answer
    given = {"lineage_url": backend.url, "lineage_concurrency": 1, "lineage_timeout_seconds": 0.2, **BATCHES}
    async with relay(tmp_path, **given) as sidecar:
        await fill(sidecar.application.port, runs=12, each=1)
        await until(lambda: sidecar.writer.level.events == 0)
    assert receiving.numbers_by_run() == {run_id(run): [0] for run in range(12)}
    assert len(batches) == 1


async def test_a_backend_that_is_away_costs_one_attempt_a_delay_with_batches_too(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    receiving = Receiving()
    backend.answer = lambda _seen: Reply(503, {"Retry-After": "1"})
    async with relay(tmp_path, lineage_url=backend.url, lineage_concurrency=1, **BATCHES) as sidecar:
        await fill(sidecar.application.port)
        await until(lambda: not sidecar.delivery.is_up)
        assert len(backend.posts) <= 3
        backend.answer = receiving
        await until(lambda: sidecar.writer.level.events == 0)
    assert receiving.numbers_by_run() == {run_id(run): [0, 1, 2, 3] for run in range(RUNS)}


@pytest.mark.parametrize(
    ("answer", "meant"),
    [
        (Answer(204), Verdict.SETTLED),
        (Answer(200, content=b""), Verdict.SETTLED),
        (Answer(201, content=b"OK"), Verdict.SETTLED),
        (Answer(200, content=b'{"status":"success"}'), Verdict.SETTLED),
        (Answer(200, content=b'{"failed_events":[{"index":0,"reason":"x","retriable":true}]}'), Verdict.SETTLED),
        (Answer(200, content=b'{"failed_events":[{"index":"first"}]}'), Verdict.ALONE),
        (Answer(200, content=b'{"failed_events":[{"index":1},'), Verdict.ALONE),
        (Answer(200, content=b'{"failed_events":[{"index":2,"reason":"counted from 1"}]}'), Verdict.ALONE),
        (Answer(200, content=b'{"failed_events":[{"index":-1}]}'), Verdict.ALONE),
        (Answer(200, content=b'{"failed_events":[{"index":0,"reason":"caf\xe9"}]}'), Verdict.ALONE),
        (Answer(200, content=b'{"status":"caf\xe9"}'), Verdict.SETTLED),
        (Answer(200, content=b"x" * ANSWER_BYTES), Verdict.ALONE),
        (Answer(400), Verdict.ALONE),
        (Answer(422), Verdict.ALONE),
        (Answer(500), Verdict.ALONE),
        (Answer(404), Verdict.NO_BATCHES),
        (Answer(405), Verdict.NO_BATCHES),
        (Answer(501), Verdict.NO_BATCHES),
        (Answer(401), Verdict.WAIT),
        (Answer(429), Verdict.WAIT),
        (Answer(503), Verdict.WAIT),
        (Answer(None), Verdict.WAIT),
    ],
)
def test_what_an_answer_means_for_the_whole(answer: Answer, meant: Verdict) -> None:
    assert verdict(answer, 2) is meant


def test_what_an_answer_says_of_each_event() -> None:
    told = b'{"status":"partial_success","failed_events":[{"index":2,"reason":{"a":1},"retriable":false,"extra":0}]}'
    assert failures(Answer(200, content=told)) == [Failure(2, "{'a': 1}", retriable=False)]


@given(st.binary(max_size=200), st.sampled_from([200, 201, 204]))
def test_no_answer_however_odd_stops_a_delivery(content: bytes, status: int) -> None:
    assert verdict(Answer(status, content=content), 2) in {Verdict.SETTLED, Verdict.ALONE}


@settings(max_examples=25)
@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers(), max_size=2), max_size=3))
def test_a_batch_is_the_array_of_its_events(events: list[dict[str, int]]) -> None:
    assert json.loads(encode([json.dumps(event).encode() for event in events])) == events


def queued(sequence: int, run: str, size: int = 100) -> Queued:
    return Queued(sequence, run, 0.0, size, b"", b"{}")


def test_a_batch_is_bounded_and_leaves_out_what_has_to_go_alone() -> None:
    lanes = Lanes(max_events=100, max_bytes=100_000)
    lanes.admit([queued(number, str(number)) for number in range(1, 8)])
    first = lanes.take()
    assert first is not None
    two = lanes.take_more(first, max_events=2, max_bytes=10_000)
    assert [event.sequence for _, event in two] == [1, 2]
    third = lanes.take()
    assert third is not None
    few = lanes.take_more(third, max_events=100, max_bytes=250)
    assert [event.sequence for _, event in few] == [3, 4]
    lane, _ = few[1]
    lane.alone = True
    lanes.park(lane, 0.0)
    fifth = lanes.take()
    assert fifth is not None
    fifth[0].alone = True
    assert lanes.take_more(fifth, max_events=100, max_bytes=10_000) == [fifth]
