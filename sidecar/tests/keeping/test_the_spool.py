"""What the spool promises: durable before the answer, bounded, in order, once, and still there after a restart."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from floe_sidecar.duplicates import RecentDigests
from floe_sidecar.orders import SpoolFullError, SpoolUnavailableError, Stored
from floe_sidecar.records import DeadLetter, Queued, Record
from floe_sidecar.spool import Spool
from floe_sidecar.writer import Writer
from sidecar.tests.builders import accepted, body, event, post, relay, until
from sidecar.tests.standins import BackendStandIn, Reply

pytestmark = pytest.mark.requirement("RELAY-1", "RELAY-5", "HOUSE-10")


def record(run: str, content: bytes) -> Record:
    import hashlib  # noqa: PLC0415 - here only

    return Record(run, hashlib.blake2b(content, digest_size=16).digest(), content)


async def opened(folder: Path, **changes: Any) -> Writer:
    writer = Writer(Spool(folder), **{"max_bytes": 10_000, "duplicate_window_seconds": 60.0, **changes})
    await writer.start()
    return writer


async def waiting(writer: Writer) -> list[Queued]:
    nothing: list[Queued] = []
    return await writer.ask(lambda spool: spool.read_after(0, limit=10_000, max_bytes=10**9)[0], or_else=nothing)


async def test_an_acked_event_is_in_the_file_while_the_relay_still_runs(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        assert (await post(sidecar.application.port, body())).status == 201
        with sqlite3.connect(tmp_path / "spool" / "spool.sqlite") as file:
            assert file.execute("SELECT body FROM bodies").fetchall() == [(body(),)]
        file.close()


async def test_a_group_is_one_commit_and_every_member_gets_its_answer(tmp_path: Path) -> None:
    commits: list[float] = []
    writer = await opened(tmp_path, on_commit=lambda seconds, _dropped: commits.append(seconds))
    futures = [writer.append([record("r", b"%d" % number)]) for number in range(30)]
    assert sum(stored.new for stored in await asyncio.gather(*futures)) == 30
    assert len(commits) < 30
    assert [queued.body for queued in await waiting(writer)] == [b"%d" % number for number in range(30)]
    await writer.stop()


async def test_a_full_spool_refuses_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    writer = await opened(tmp_path, max_bytes=10_000)
    await writer.append([record("r", b"a" * 9000)])
    with pytest.raises(SpoolFullError):
        await writer.append([record("r", b"b" * 2000)])
    assert (await writer.append([record("r", b"c" * 100)])).new == 1
    writer.settle([1])
    assert len(await waiting(writer)) == 1
    assert (await writer.append([record("r", b"b" * 2000)])).new == 1
    assert [len(queued.body or b"") for queued in await waiting(writer)] == [100, 2000]
    await writer.stop()


async def test_a_full_spool_is_told_with_503_and_retry_after(tmp_path: Path) -> None:
    async with relay(tmp_path, spool_max_bytes=4096) as sidecar:
        answers = [await post(sidecar.application.port, body(number=n, padding="x" * 1000)) for n in range(4)]
        assert [answer.status for answer in answers] == [201, 201, 503, 503]
        assert answers[-1].headers["retry-after"] == "1"
        assert sidecar.metrics.refused.values == {"spool_full": 2}
        batch = json.dumps([event(9, padding="x" * 3000)]).encode()
        assert (await post(sidecar.application.port, batch, "/api/v1/lineage/batch")).status == 503


@pytest.mark.requirement("HOUSE-3")
@pytest.mark.parametrize("size", [5_000, 9_000, 17_000, 300_000])
async def test_the_files_themselves_stay_within_the_bound_and_drain_when_full(tmp_path: Path, size: int) -> None:
    bound = 4 * 1024 * 1024
    writer = Writer(Spool(tmp_path, max_bytes=bound), max_bytes=bound, duplicate_window_seconds=60.0)
    await writer.start()
    orders = [writer.append([record("r", b"%06d" % number + b"x" * size)]) for number in range(2 * bound // size)]
    answers = await asyncio.gather(*orders, return_exceptions=True)
    assert {type(answer) for answer in answers} == {Stored, SpoolFullError}
    assert not writer.level.failure
    kept = (await waiting(writer))[-1].sequence
    assert kept * size > bound * 0.4
    assert (tmp_path / "spool.sqlite").stat().st_size <= bound
    assert sum((tmp_path / name).stat().st_size for name in ("spool.sqlite", "spool.sqlite-wal")) < 2 * bound
    for sequence in range(1, kept + 1, 10):
        writer.settle(list(range(sequence, min(sequence + 10, kept + 1))))
        # Senders do not wait until there is room; what was delivered goes all the same.
        await asyncio.gather(writer.append([record("r", b"more%d" % sequence + b"y" * size)]), return_exceptions=True)
    assert writer.level.size < bound
    assert all(queued.sequence > kept for queued in await waiting(writer))
    assert (await writer.append([record("r", b"room again")])).new == 1
    await writer.stop()


async def test_a_disk_that_takes_nothing_is_told_and_taken_again_when_it_does(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    async with relay(tmp_path) as sidecar:
        assert (await post(sidecar.application.port, body())).status == 503
        assert sidecar.writer.level.failure
        (tmp_path / "spool").unlink()
        await accepted(sidecar, body())
        assert not sidecar.writer.level.failure


async def test_a_failed_commit_keeps_nothing_and_forgets_that_the_event_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    writer = Writer(spool, max_bytes=10_000, duplicate_window_seconds=60.0)
    await writer.start()

    def fail(records: Sequence[Record]) -> None:
        raise sqlite3.OperationalError(f"database or disk is full, {len(records)} events too many")

    with monkeypatch.context() as full:
        full.setattr(spool, "append", fail)
        with pytest.raises(SpoolUnavailableError):
            await writer.append([record("r", b"a")])
    assert (await writer.append([record("r", b"a")])).new == 1
    await writer.stop()


async def test_a_defect_of_the_writers_answers_everybody_and_the_next_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    writer = Writer(spool, max_bytes=10_000, duplicate_window_seconds=60.0)
    await writer.start()
    await writer.append([record("r", b"before")])

    def fail(_records: Sequence[Record]) -> None:
        raise ZeroDivisionError("planted")

    with monkeypatch.context() as defect:
        defect.setattr(spool, "append", fail)
        writer.settle([1])
        with pytest.raises(SpoolUnavailableError):
            await writer.append([record("r", b"a")])
    monkeypatch.setattr(writer, "_tried_at", float("-inf"))
    assert (await writer.append([record("r", b"a")])).new == 1
    assert [queued.body for queued in await waiting(writer)] == [b"a"]
    await writer.stop()


async def test_an_event_that_comes_twice_is_acked_twice_and_sent_once(tmp_path: Path, backend: BackendStandIn) -> None:
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        for _ in range(3):
            assert (await post(sidecar.application.port, body())).status == 201
        await post(sidecar.application.port, body(kind="COMPLETE"))
        await until(lambda: any(seen.kind == "COMPLETE" for seen in backend.posts))
        assert [seen.kind for seen in backend.posts] == ["START", "COMPLETE"]
        assert sidecar.metrics.duplicates.total == 2
        await until(lambda: sidecar.writer.level.events == 0)
        assert (await post(sidecar.application.port, body())).status == 201
        assert sidecar.metrics.duplicates.total == 3


@pytest.mark.requirement("RELAY-8")
@pytest.mark.parametrize("answer", [Reply(201), Reply(503)], ids=["delivered", "waiting"])
async def test_an_event_that_came_before_a_restart_is_not_sent_again(
    tmp_path: Path, backend: BackendStandIn, answer: Reply
) -> None:
    backend.answer = lambda _post: answer
    async with relay(tmp_path, lineage_url=backend.url) as first:
        await post(first.application.port, body())
        await until(lambda: bool(backend.posts))
    backend.answer = lambda _post: Reply(201)
    async with relay(tmp_path, lineage_url=backend.url) as second:
        assert (await post(second.application.port, body())).status == 201
        assert second.metrics.duplicates.total == 1
        await until(lambda: second.writer.level.events == 0)
    assert len(backend.accepted) == 1


@pytest.mark.requirement("RELAY-8")
async def test_without_a_window_nothing_is_a_duplicate(tmp_path: Path) -> None:
    async with relay(tmp_path, duplicate_window_seconds=0.0) as sidecar:
        for _ in range(2):
            await post(sidecar.application.port, body())
        assert sidecar.writer.level.events == 2


@pytest.mark.requirement("RELAY-8")
def test_the_memory_of_what_came_is_bounded_in_time_and_number() -> None:
    recent = RecentDigests(10.0, capacity=2)
    recent.add(b"a", 100.0)
    assert [recent.holds(b"a", now) for now in (100.0, 109.9, 110.0, 95.0)] == [True, True, False, True]
    recent.add(b"b", 101.0)
    recent.add(b"c", 102.0)
    assert [recent.holds(digest, 102.0) for digest in (b"a", b"b", b"c")] == [False, True, True]
    recent.forget(b"b")
    assert not recent.holds(b"b", 102.0)


async def test_dead_letters_are_kept_with_their_reason_and_bounded(tmp_path: Path) -> None:
    dropped: list[int] = []
    writer = await opened(tmp_path, max_bytes=40_000, on_commit=lambda _seconds, number: dropped.append(number))
    for number in range(1, 41):
        await writer.append([record("r", b"%04d" % number + b"x" * 500)])
        writer.settle([], [(DeadLetter(number, "status_400", "no"), b"")])
    nothing: list[tuple[int, str, str]] = []
    rows = await writer.ask(
        lambda spool: spool._connection.execute("SELECT sequence, reason, detail FROM dead_letters").fetchall(),
        or_else=nothing,
    )
    assert rows[-1] == (40, "status_400", "no")
    assert len(rows) == writer.level.dead_letters < 40
    assert writer.level.dead_size <= 10_000
    assert sum(dropped) == 40 - len(rows)
    assert writer.level.events == 0
    await writer.stop()


async def test_sequences_are_never_given_twice_even_if_everything_was_delivered(tmp_path: Path) -> None:
    writer = await opened(tmp_path)
    await writer.append([record("r", b"a"), record("r", b"b")])
    writer.settle([1, 2])
    await writer.stop()
    again = await opened(tmp_path)
    await again.append([record("r", b"c")])
    assert [queued.sequence for queued in await waiting(again)] == [3]
    await again.stop()


async def test_the_memory_of_deliveries_on_disk_is_bounded(tmp_path: Path) -> None:
    writer = await opened(tmp_path, max_bytes=10**9)
    for start in range(0, 12_000, 1000):
        await writer.append([record("r", b"%d" % number) for number in range(start, start + 1000)])
        writer.settle(list(range(start + 1, start + 1001)))
    rows = await writer.ask(
        lambda spool: spool._connection.execute("SELECT count(*) FROM delivered").fetchone()[0], or_else=0
    )
    assert rows <= 8192 + 1024
    await writer.stop()


async def test_the_write_ahead_log_does_not_grow_with_what_passes_through(tmp_path: Path) -> None:
    writer = await opened(tmp_path, max_bytes=10**9)
    for start in range(0, 24_000, 100):
        await writer.append([record("r", b"%d" % number + b"x" * 5000) for number in range(start, start + 100)])
        writer.settle(list(range(start + 1, start + 101)))
    await waiting(writer)
    log_bytes = (tmp_path / "spool.sqlite-wal").stat().st_size
    assert log_bytes < 64 * 1024 * 1024
    await writer.stop()
    assert not (tmp_path / "spool.sqlite-wal").exists()
