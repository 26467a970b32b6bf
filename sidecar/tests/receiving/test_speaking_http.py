"""The protocol's boundary: whatever comes over the wire, in whatever pieces, gets a decided answer."""

from __future__ import annotations

import asyncio
import gzip
import tempfile
import zlib
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.tests.builders import Answer, ask, body, read_answer, relay, request, until

pytestmark = pytest.mark.requirement("RELAY-1", "RELAY-5")

CHUNKED = b"POST /api/v1/lineage HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunked(content: bytes, size: int) -> bytes:
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    return CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


async def test_one_connection_carries_many_requests(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.application.port)
        for number in range(3):
            writer.write(request(body(number=number)))
            assert (await read_answer(reader)).status == 201
        writer.close()
        assert sidecar.writer.level.events == 3


async def test_pipelined_requests_are_answered_in_their_order(tmp_path: Path) -> None:
    raw = b"".join(
        (request(body(1)), request(b"not json"), request(body(2)), request(b"", path="/nowhere"), request(body(3)))
    )
    async with relay(tmp_path) as sidecar:
        answers = await ask(sidecar.application.port, raw, answers=5)
    assert [answer.status for answer in answers] == [201, 400, 201, 404, 201]


async def test_more_pipelined_requests_than_are_read_at_once_are_all_answered(tmp_path: Path) -> None:
    raw = b"".join(request(body(number=number)) for number in range(500))
    async with relay(tmp_path) as sidecar:
        answers = await ask(sidecar.application.port, raw, answers=500)
    assert {answer.status for answer in answers} == {201}


@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_a_chunked_body_is_put_together(tmp_path: Path, size: int) -> None:
    async with relay(tmp_path) as sidecar:
        assert [a.status for a in await ask(sidecar.application.port, chunked(body(), size))] == [201]


def _bare_deflate(content: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(content) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", _bare_deflate)],
    ids=["gzip", "x-gzip", "deflate in a zlib stream", "bare deflate"],
)
async def test_a_compressed_body_is_inflated(tmp_path: Path, encoding: str, compress: object) -> None:
    assert callable(compress)
    async with relay(tmp_path) as sidecar:
        raw = request(compress(body()), Content_Encoding=encoding)
        assert [a.status for a in await ask(sidecar.application.port, raw)] == [201]
        assert sidecar.writer.level.size > len(body())


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (request(b"\x1f\x8b" + b"x" * 50, Content_Encoding="gzip"), 400),
        (request(gzip.compress(body())[:-9], Content_Encoding="gzip"), 400),
        (request(gzip.compress(body()) + b"more", Content_Encoding="gzip"), 400),
        (request(gzip.compress(b"0" * 5_000_000), Content_Encoding="gzip"), 413),
        (request(body(), Content_Encoding="br"), 415),
        (request(b"x" * 2000), 413),
        (chunked(b"x" * 2000, 100), 413),
        (b"POST /api/v1/lineage HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (request(body(), X_Long="x" * 5000), 431),
        (b"GET /" + b"x" * 20_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"POST /api/v1/lineage HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
    ids=[
        "broken gzip",
        "gzip without its end",
        "gzip with something after it",
        "gzip bomb",
        "unknown encoding",
        "body too large",
        "chunked body too large",
        "length too large",
        "header too large",
        "line without end",
        "TLS",
        "two lengths",
    ],
)
async def test_what_cannot_be_taken_is_answered_and_the_connection_ends(
    tmp_path: Path, raw: bytes, status: int
) -> None:
    async with relay(tmp_path, body_max_bytes=1024, header_max_bytes=1024) as sidecar:
        (answer,) = await ask(sidecar.application.port, raw)
        assert answer.status == status
        assert answer.headers["connection"] == "close"
        assert answer.json["error"]
        assert sidecar.metrics.refused.total == 1
        assert sidecar.application.inflight_bytes == 0


async def test_a_client_that_asks_whether_to_continue_is_told_so(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.application.port)
        head, _, content = request(body(), Expect="100-continue").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert (await read_answer(reader)).status == 100
        writer.write(content)
        assert (await read_answer(reader)).status == 201
        writer.close()


async def test_a_client_that_asks_with_a_body_too_large_never_sends_it(tmp_path: Path) -> None:
    async with relay(tmp_path, body_max_bytes=1024) as sidecar:
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.application.port)
        writer.write(request(b"x" * 5000, Expect="100-continue").partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        assert (await read_answer(reader)).status == 413
        writer.close()


async def test_a_slow_client_gets_408(tmp_path: Path) -> None:
    async with relay(tmp_path, request_timeout_seconds=0.1) as sidecar:
        (answer,) = await ask(sidecar.application.port, request(body())[:-5])
        assert answer.status == 408


async def test_a_silent_connection_is_closed(tmp_path: Path) -> None:
    async with relay(tmp_path, idle_timeout_seconds=0.1) as sidecar:
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.application.port)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_one_connection_too_many_is_told_so(tmp_path: Path) -> None:
    async with relay(tmp_path, connections_max=1) as sidecar:
        _, writer = await asyncio.open_connection("127.0.0.1", sidecar.application.port)
        await until(lambda: len(sidecar.application.connections) == 1)
        reader, second = await asyncio.open_connection("127.0.0.1", sidecar.application.port)
        answer = await read_answer(reader)
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        second.close()
        writer.close()


async def test_bodies_together_stay_within_the_bound_of_memory(tmp_path: Path) -> None:
    async with relay(tmp_path, inflight_max_bytes=4096) as sidecar:
        _, first = await asyncio.open_connection("127.0.0.1", sidecar.application.port)
        first.write(request(b"x" * 4000)[:-1])
        await until(lambda: sidecar.application.inflight_bytes > 3000)
        (answer,) = await ask(sidecar.application.port, request(b"y" * 4000))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        first.close()
        await until(lambda: sidecar.application.inflight_bytes == 0)


@pytest.mark.parametrize(
    ("raw", "connection"),
    [
        (request(body()).replace(b"HTTP/1.1", b"HTTP/1.0"), "close"),
        (request(body(), Connection="close"), "close"),
        (request(body(), Connection="Upgrade", Upgrade="h2c"), "close"),
        (chunked(body(), 9).replace(b"Host: a", b"Connection: Upgrade\r\nUpgrade: h2c"), "close"),
        (request(body()), None),
    ],
    ids=["HTTP/1.0", "close", "an offer of HTTP/2", "the same, chunked", "keep-alive"],
)
async def test_a_connection_stays_open_unless_it_should_not(tmp_path: Path, raw: bytes, connection: str | None) -> None:
    async with relay(tmp_path) as sidecar:
        (answer,) = await ask(sidecar.application.port, raw)
        assert answer.status == 201
        assert answer.headers.get("connection") == connection


async def test_a_client_that_ends_its_side_after_the_request_gets_the_answer(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        reader, writer = await asyncio.open_connection("127.0.0.1", sidecar.application.port)
        writer.write(request(body()))
        writer.write_eof()
        assert (await asyncio.wait_for(reader.read(), 10)).startswith(b"HTTP/1.1 201")
        writer.close()


async def test_a_client_that_goes_before_the_answer_leaves_its_event_behind(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        _, writer = await asyncio.open_connection("127.0.0.1", sidecar.application.port)
        writer.write(request(body()))
        writer.transport.abort()
        await until(lambda: not sidecar.application.connections)
        assert (await ask(sidecar.application.port, request(body(2))))[0].status == 201


async def test_a_failure_of_ours_is_an_answer_and_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_records: object) -> None:
        raise RuntimeError("planted")

    async with relay(tmp_path) as sidecar:
        monkeypatch.setattr(sidecar.writer, "append", fail)
        (answer,) = await ask(sidecar.application.port, request(body()))
        monkeypatch.undo()
        assert answer.status == 500
        assert b"planted" not in answer.body
        assert sidecar.metrics.refused.values == {"internal": 1}


MIXED = b"".join(
    (
        request(body(1)),
        chunked(body(2), 50),
        request(gzip.compress(body(3)), Content_Encoding="gzip"),
        request(b"[]", path="/api/v1/lineage/batch"),
        request(b"{"),
        request(body(4), Expect="100-continue"),
    )
)


@given(cuts=st.lists(st.integers(1, len(MIXED) - 1), max_size=40))
@settings(max_examples=30, deadline=None)
def test_the_pieces_in_which_requests_come_make_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts)), len(MIXED)]
    chunks = [MIXED[start:stop] for start, stop in pairwise(edges)]

    async def answers() -> list[Answer]:
        with tempfile.TemporaryDirectory() as folder:
            async with relay(Path(folder), shutdown_seconds=0.0) as sidecar:
                return await ask(sidecar.application.port, b"", answers=7, chunks=chunks)

    statuses = [answer.status for answer in asyncio.run(answers())]
    assert [status for status in statuses if status != 100] == [201, 201, 201, 200, 400, 201]


@given(noise=st.binary(min_size=1, max_size=300), at=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_noise_in_a_request_never_harms_the_next_connection(noise: bytes, at: int) -> None:
    raw = request(body())
    spoiled = raw[:at] + noise + raw[at:]

    async def next_answer() -> int:
        with tempfile.TemporaryDirectory() as folder:
            async with relay(Path(folder), shutdown_seconds=0.0) as sidecar:
                _, writer = await asyncio.open_connection("127.0.0.1", sidecar.application.port)
                writer.write(spoiled)
                await writer.drain()
                (answer,) = await ask(sidecar.application.port, request(body(2)))
                writer.close()
                await until(lambda: sidecar.application.inflight_bytes == 0)
                return answer.status

    assert asyncio.run(next_answer()) == 201
