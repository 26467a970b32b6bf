"""Runs that were begun and never ended are closed when the pod ends: which ones, how, and only once."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_sidecar import events
from floe_sidecar.records import Record
from floe_sidecar.runs import MOST_FOLLOWED, Begins, OpenRun, OpenRuns, Role, abort, role
from floe_sidecar.spool import Spool
from sidecar.tests.builders import PRODUCER, accepted, body, event, post, relay, relay_process, run_id, until
from sidecar.tests.standins import BackendStandIn, Post, Reply, backend_in_thread

pytestmark = pytest.mark.requirement("RELAY-7")

OPEN = OpenRun("r", run_id(1), "sales/orders", "demo.orders", 1_800_000_000.0, 1_800_000_060.0)


def job(processing_type: object) -> dict[str, Any]:
    facet = {"_producer": PRODUCER, "_schemaURL": "https://s", "processingType": processing_type, "integration": "X"}
    return {"namespace": "n", "name": "j", "facets": {"jobType": facet}}


def seen(posts: list[Post]) -> list[tuple[str, str]]:
    return [(post.run, post.kind) for post in posts]


@pytest.mark.parametrize(
    ("kinds", "closed"),
    [
        pytest.param(["START"], True, id="nothing came after START"),
        pytest.param(["START", "RUNNING", "OTHER"], True, id="RUNNING and OTHER keep it open"),
        pytest.param(["OTHER", "START"], True, id="OTHER may come before START"),
        pytest.param(["START", "COMPLETE"], False, id="completed"),
        pytest.param(["START", "FAIL"], False, id="failed"),
        pytest.param(["START", "ABORT"], False, id="aborted by itself"),
        pytest.param(["COMPLETE", "START"], False, id="its START came late"),
        pytest.param(["RUNNING", "OTHER"], False, id="another pod began it"),
        pytest.param(["COMPLETE"], False, id="only its end came"),
    ],
)
async def test_which_runs_are_closed(tmp_path: Path, backend: BackendStandIn, kinds: list[str], closed: bool) -> None:
    async with relay(tmp_path, lineage_url=backend.url, abort_open_runs=True, shutdown_seconds=5.0) as sidecar:
        for number, kind in enumerate(kinds):
            await accepted(sidecar, body(1, kind, number))
    expected = [*kinds, "ABORT"] if closed else kinds
    assert [post.kind for post in backend.accepted] == expected
    assert sidecar.metrics.runs_closed.total == closed


@pytest.mark.parametrize("processing_type", ["STREAMING", "SERVICE", "streaming"])
@pytest.mark.parametrize("producer", [PRODUCER, ...], ids=["by the specification", "without a producer"])
async def test_a_run_that_needs_no_end_is_left_open(
    tmp_path: Path, backend: BackendStandIn, processing_type: str, producer: object
) -> None:
    async with relay(tmp_path, lineage_url=backend.url, abort_open_runs=True, shutdown_seconds=5.0) as sidecar:
        await accepted(sidecar, body(1, job=job(processing_type), producer=producer))
        await accepted(sidecar, body(2, job=job("BATCH"), producer=producer))
    assert seen(backend.accepted)[-1] == (run_id(2), "ABORT")
    assert (run_id(1), "ABORT") not in seen(backend.accepted)


def test_at_the_pods_end_each_run_without_an_end_gets_one_abort_behind_its_events(tmp_path: Path) -> None:
    variables = {"ABORT_OPEN_RUNS": "true", "LINEAGE_CONCURRENCY": "4"}
    with backend_in_thread(BackendStandIn(lambda _post: Reply(after_seconds=0.02))) as backend:
        with relay_process(tmp_path, LINEAGE_URL=backend.url, **variables) as relay:
            batch = [event(number, "START") for number in range(6)]
            batch += [event(number, "COMPLETE", 1) for number in range(3)]
            batch += [event(number, "RUNNING", 2) for number in range(3, 6)]
            assert send_batch(relay.port, batch) == 200
            code, lines = relay.end()
        assert code == 0
        assert lines[-1]["unsent_events"] == 0
        aborted = [post for post in backend.accepted if post.kind == "ABORT"]
        assert sorted(post.run for post in aborted) == [run_id(number) for number in (3, 4, 5)]
        assert [post.kind for post in backend.accepted if post.run == run_id(3)] == ["START", "RUNNING", "ABORT"]
        with relay_process(tmp_path, LINEAGE_URL=backend.url, **variables) as again:
            assert again.end()[0] == 0
        assert len([post for post in backend.posts if post.kind == "ABORT"]) == 3


def send_batch(port: int, batch: list[dict[str, Any]]) -> int:
    from urllib.request import Request, urlopen  # noqa: PLC0415 - here only

    request = Request(f"http://127.0.0.1:{port}/api/v1/lineage/batch", json.dumps(batch).encode(), method="POST")
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
        status: int = answer.status
        return status


def test_a_run_that_a_killed_relay_saw_begin_is_closed_by_the_next_one(tmp_path: Path) -> None:
    with backend_in_thread(BackendStandIn()) as backend:
        with relay_process(tmp_path, LINEAGE_URL=backend.url, ABORT_OPEN_RUNS="true") as relay:
            assert send_batch(relay.port, [event(1)]) == 200
            relay.kill()
        with relay_process(tmp_path, LINEAGE_URL=backend.url, ABORT_OPEN_RUNS="true") as again:
            assert again.status()["runs"] == {"open": 1, "closed": 0}
            again.end()
        assert {post.kind for post in backend.accepted} == {"START", "ABORT"}
        assert len([post for post in backend.accepted if post.kind == "ABORT"]) == 1


async def test_an_abort_that_the_backend_did_not_take_is_sent_by_the_next_start_and_not_made_again(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    backend.answer = lambda _post: Reply(503)
    async with relay(tmp_path, lineage_url=backend.url, abort_open_runs=True) as sidecar:
        await accepted(sidecar, body(1))
    assert sidecar.writer.level.events == 2
    backend.answer = lambda _post: Reply()
    async with relay(tmp_path, lineage_url=backend.url, abort_open_runs=True, shutdown_seconds=5.0) as again:
        await until(lambda: again.writer.level.events == 0)
    assert seen(backend.accepted) == [(run_id(1), "START"), (run_id(1), "ABORT")]
    assert again.metrics.runs_closed.total == 0


async def test_the_switch_turns_it_off(tmp_path: Path, backend: BackendStandIn) -> None:
    async with relay(tmp_path, lineage_url=backend.url, abort_open_runs=False, shutdown_seconds=5.0) as sidecar:
        await accepted(sidecar, body(1))
        assert sidecar.writer.level.open_runs == 0
    assert [post.kind for post in backend.accepted] == ["START"]


async def test_a_full_spool_leaves_the_runs_for_the_next_end_with_the_same_abort(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    backend.answer = lambda _post: Reply(503)
    async with relay(tmp_path, lineage_url=backend.url, abort_open_runs=True, spool_max_bytes=1500) as sidecar:
        await accepted(sidecar, body(1))
        await accepted(sidecar, body(2, "OTHER", padding="x" * 200))
    assert (sidecar.metrics.runs_closed.total, sidecar.writer.level.open_runs) == (0, 1)
    with sqlite3.connect(tmp_path / "spool" / "spool.sqlite") as file:
        ((ended_at,),) = file.execute("SELECT ended_at FROM open_runs").fetchall()
    file.close()
    backend.answer = lambda _post: Reply()
    async with relay(tmp_path, lineage_url=backend.url, abort_open_runs=True, shutdown_seconds=5.0):
        pass
    (closing,) = [post for post in backend.accepted if post.kind == "ABORT"]
    first_end = OpenRun(run_id(1), run_id(1), "sales/orders", "demo.orders", 0.0, ended_at)
    assert closing.body == abort(first_end)


def test_the_abort_follows_the_specification_and_says_who_closed_the_run_and_why() -> None:
    content = abort(OPEN)
    document = json.loads(content)
    assert events.read(content).validity is events.Validity.VALID
    assert (document["eventType"], document["eventTime"]) == ("ABORT", "2027-01-15T08:01:00.000+00:00")
    assert document["run"]["runId"] == run_id(1)
    assert document["job"] == {"namespace": "sales/orders", "name": "demo.orders"}
    facet = document["run"]["facets"]["floe_runClosure"]
    assert (facet["closedBy"], facet["reason"]) == ("floe-sidecar", "POD_ENDED")
    assert "the relay closed the run" in facet["message"]
    assert abort(OPEN) == content


@given(begun_at=st.floats(0, 253_402_300_000), ended_at=st.floats(0, 253_402_300_000))
def test_an_abort_never_stands_before_its_start(begun_at: float, ended_at: float) -> None:
    import datetime as dt  # noqa: PLC0415 - here only

    document = json.loads(abort(OpenRun("r", run_id(1), "n", "j", begun_at, ended_at)))
    assert dt.datetime.fromisoformat(document["eventTime"]).timestamp() >= min(begun_at, 253_402_299_999)


@pytest.mark.parametrize(
    ("event_time", "at"),
    [
        ("2027-01-15T08:00:00Z", 1_800_000_000.0),
        ("2027-01-15T09:00:00+01:00", 1_800_000_000.0),
        ("2027-01-15T08:00:00", 1_800_000_000.0),
        ("yesterday", 0.0),
        (7, 0.0),
        ("0001-01-01T00:00:00+14:00", 0.0),
    ],
)
def test_a_start_is_followed_whatever_its_time_is(event_time: object, at: float) -> None:
    read = events.read(body(1, eventTime=event_time))
    assert read.sign == Begins(run_id(1), "sales/orders", "demo.orders", at)


@pytest.mark.parametrize(
    "changes",
    [{"job": {"name": "j"}}, {"run": {"runId": 7}}, {"job": {"namespace": "n", "name": "j" * 2000}}],
    ids=["no namespace", "a number for a run", "an endless name"],
)
def test_a_run_that_could_not_be_named_is_not_followed(changes: dict[str, Any]) -> None:
    assert events.read(body(1, **changes)).sign is None


def test_words_are_read_as_backends_read_them() -> None:
    assert role("start", None) is Role.BEGINS
    assert role("Fail", None) is Role.ENDS
    assert role(["START"], {"a": 1}) is None


steps = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["START", "RUNNING", "COMPLETE", "FAIL", "restart", "rollback"])),
    max_size=40,
)


@settings(deadline=None, max_examples=30)
@given(steps=steps)
def test_a_run_is_open_if_and_only_if_its_start_and_no_end_is_on_the_disk(steps: list[tuple[int, str]]) -> None:
    begun: set[int] = set()
    ended: set[int] = set()
    with tempfile.TemporaryDirectory() as folder:
        spool = opened(Path(folder))
        for number, (run, kind) in enumerate(steps):
            if kind == "restart":
                spool.close()
                spool = opened(Path(folder))
                ended.clear()  # an end before its START is remembered by the process alone
                continue
            records = [record(run, "START" if kind == "rollback" else kind, number)]
            if kind == "rollback":
                with pytest.raises(sqlite3.IntegrityError):
                    append_and_fail(spool, records)
                continue
            with spool.transaction():
                spool.append(records)
            if kind == "START" and run not in ended:
                begun.add(run)
            if kind in {"COMPLETE", "FAIL"}:
                begun.discard(run)
                ended.add(run)
        assert {run.run for run in spool.end_runs()} == {run_id(run) for run in begun}
        assert spool.level("").open_runs == len(begun)
        spool.close()


def append_and_fail(spool: Spool, records: list[Record]) -> None:
    with spool.transaction():
        spool.append(records)
        spool._connection.execute("INSERT INTO bodies SELECT * FROM bodies")


def opened(folder: Path) -> Spool:
    spool = Spool(folder)
    spool.open()
    return spool


def record(of_run: int, kind: str, number: int = 0) -> Record:
    content = body(of_run, kind, number)
    read = events.read(content)
    return Record(read.key, read.digest, content, read.sign)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    from floe_sidecar.runs import SCHEMA  # noqa: PLC0415 - here only

    memory = sqlite3.connect(":memory:", isolation_level=None)
    memory.executescript(SCHEMA)
    yield memory
    memory.close()


def test_what_is_followed_is_bounded_on_disk_and_in_memory_and_the_oldest_is_left_open(
    connection: sqlite3.Connection,
) -> None:
    runs = OpenRuns()
    for start in range(0, MOST_FOLLOWED + 1000, 250):
        begun = [(f"r{number}", Begins("id", "n", "j", 0.0)) for number in range(start, start + 250)]
        runs.follow(connection, begun)
        runs.confirm()
    excess = start + 250 - MOST_FOLLOWED
    ((rows, oldest),) = connection.execute("SELECT count(*), min(number) FROM open_runs").fetchall()
    assert (rows, oldest) == (MOST_FOLLOWED, excess + 1)
    assert (len(runs), runs.forgotten) == (MOST_FOLLOWED, excess)


@pytest.mark.requirement("RELAY-2")
def test_open_runs_are_taken_over_from_a_damaged_file(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    with spool.transaction():
        spool.append([record(1, "START")])
    spool.close()
    with sqlite3.connect(tmp_path / "spool.sqlite") as file:
        file.execute("PRAGMA user_version=77")
    file.close()
    again = Spool(tmp_path)
    assert again.open().set_aside is not None
    assert [(run.run_id, run.begun_at > 0) for run in again.end_runs()] == [(run_id(1), True)]
    again.close()


async def test_a_repeated_start_is_one_open_run(tmp_path: Path) -> None:
    async with relay(tmp_path, abort_open_runs=True) as sidecar:
        for number in (0, 0, 1):
            assert (await post(sidecar.application.port, body(1, "START", number))).status == 201
        assert sidecar.writer.level.open_runs == 1
