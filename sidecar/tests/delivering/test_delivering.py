"""From the spool to a backend that takes, refuses, stumbles, is slow, is away, and comes back."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from sidecar.tests.builders import body, post, relay, run_id, until
from sidecar.tests.standins import BackendStandIn, Post, Reply

pytestmark = pytest.mark.requirement("RELAY-3", "RELAY-4")


async def send(port: int, *bodies: bytes) -> None:
    for content in bodies:
        assert (await post(port, content)).status == 201


@pytest.mark.requirement("REQ-528", "REQ-526")
async def test_an_event_arrives_as_it_was_sent_with_the_key_and_a_key_of_its_own(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    async with relay(
        tmp_path, lineage_url=backend.url, lineage_api_key="k-1", lineage_headers={"X-Tenant": "a"}
    ) as sidecar:
        await send(sidecar.application.port, body(1), body(2))
        await until(lambda: sidecar.writer.level.events == 0)
    first, second = backend.posts
    assert (first.path, first.body) == ("/api/v1/lineage", body(1))
    assert first.headers["authorization"] == "Bearer k-1"
    assert first.headers["x-tenant"] == "a"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["host"] == f"127.0.0.1:{backend.port}"
    assert len(first.headers["idempotency-key"]) == 32
    assert first.headers["idempotency-key"] != second.headers["idempotency-key"]
    assert backend.connections <= 2


@pytest.mark.requirement("REQ-057", "REQ-526")
@pytest.mark.parametrize(
    ("base", "endpoint", "path"),
    [
        ("", "api/v1/lineage", "/api/v1/lineage"),
        ("/", "api/v1/lineage", "/api/v1/lineage"),
        ("/events/openlineage/x/", "api/v1/lineage", "/events/openlineage/x/api/v1/lineage"),
        ("/pfx/", "e", "/pfx/e"),
        ("/pfx/", "/abs/e?a=b", "/abs/e?a=b"),
    ],
)
async def test_url_and_endpoint_are_joined_as_the_openlineage_client_joins_them(
    tmp_path: Path, backend: BackendStandIn, base: str, endpoint: str, path: str
) -> None:
    async with relay(tmp_path, lineage_url=backend.url + base, lineage_endpoint=endpoint) as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: bool(backend.posts))
    assert backend.posts[0].path == path


async def test_a_vendors_own_header_carries_the_key_instead(tmp_path: Path, backend: BackendStandIn) -> None:
    async with relay(
        tmp_path, lineage_url=backend.url, lineage_api_key="k-1", lineage_headers={"DD-API-KEY": "${api_key}"}
    ) as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: bool(backend.posts))
    assert backend.posts[0].headers["dd-api-key"] == "k-1"
    assert "authorization" not in backend.posts[0].headers


async def test_events_of_a_run_arrive_in_order_while_runs_go_side_by_side(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    backend.answer = lambda _post: Reply(after_seconds=0.01)
    async with relay(tmp_path, lineage_url=backend.url, lineage_concurrency=4) as sidecar:
        await asyncio.gather(
            *(
                send(sidecar.application.port, *(body(run, "OTHER", number) for number in range(10)))
                for run in range(1, 9)
            )
        )
        await until(lambda: sidecar.writer.level.events == 0)
    for run in range(1, 9):
        times = [seen.event["eventTime"] for seen in backend.posts if seen.run == run_id(run)]
        assert times == sorted(times)
        assert len(times) == 10
    assert backend.most_at_once == 4


async def test_more_events_than_fit_into_the_window_all_arrive(tmp_path: Path, backend: BackendStandIn) -> None:
    async with relay(tmp_path) as away:
        for start in range(0, 900, 100):
            batch = b"[" + b",".join(body(start % 7, "OTHER", start + n) for n in range(100)) + b"]"
            assert (await post(away.application.port, batch, "/api/v1/lineage/batch")).status == 200
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await until(lambda: sidecar.writer.level.events == 0)
    assert len({seen.body for seen in backend.posts}) == len(backend.posts) == 900


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_later_is_tried_again_and_nothing_overtakes_it(
    tmp_path: Path, backend: BackendStandIn, status: int
) -> None:
    answers = iter([Reply(status), Reply(status)])
    backend.answer = lambda _post: next(answers, Reply())
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await send(sidecar.application.port, body(1, "START"), body(1, "COMPLETE"))
        await until(lambda: sidecar.writer.level.events == 0)
        assert sidecar.metrics.retried.total == 2
    assert [seen.kind for seen in backend.posts] == ["START", "START", "START", "COMPLETE"]


@pytest.mark.parametrize("fault", [Reply(cut=True), Reply(silent=True)], ids=["cut", "never answers"])
async def test_an_exchange_that_does_not_end_is_tried_again(
    tmp_path: Path, backend: BackendStandIn, fault: Reply
) -> None:
    answers = iter([fault])
    backend.answer = lambda _post: next(answers, Reply())
    # Long enough for the good answer on a machine with other work, short enough to wait for once.
    async with relay(tmp_path, lineage_url=backend.url, lineage_timeout_seconds=1.5) as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: len(backend.accepted) == 1)
        assert sidecar.metrics.retried.values == {"away": 1}


async def test_a_backend_that_was_away_gets_everything_in_order_when_it_comes(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    await backend.stop()
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        for run in range(1, 6):
            await send(sidecar.application.port, body(run, "START"), body(run, "COMPLETE"))
        await until(lambda: sidecar.metrics.retried.total > 3)
        was_up, waited = sidecar.delivery.is_up, sidecar.writer.level.events
        await backend.start()
        await until(lambda: sidecar.writer.level.events == 0)
        assert (was_up, waited, sidecar.delivery.is_up) == (False, 10, True)
    for run in range(1, 6):
        assert [seen.kind for seen in backend.accepted if seen.run == run_id(run)] == ["START", "COMPLETE"]


async def test_a_dead_backend_costs_one_attempt_a_delay_however_much_waits(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    backend.answer = lambda _post: Reply(503, headers={"Retry-After": "300"})
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await asyncio.gather(*(send(sidecar.application.port, body(run)) for run in range(1, 40)))
        await until(lambda: bool(backend.posts))
        await asyncio.sleep(0.3)
        assert len(backend.posts) <= sidecar.settings.lineage_concurrency
        assert sidecar.writer.level.events == 39
        backend.answer = lambda _post: Reply()


@pytest.mark.parametrize("as_date", [False, True], ids=["seconds", "date"])
async def test_retry_after_is_obeyed(tmp_path: Path, backend: BackendStandIn, *, as_date: bool) -> None:
    asked: list[float] = []

    def answer(_post: Post) -> Reply:
        asked.append(time.time())
        if len(asked) > 1:
            return Reply()
        return Reply(429, headers={"Retry-After": formatdate(asked[0] + 2.0, usegmt=True) if as_date else "1"})

    backend.answer = answer
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: len(asked) == 2)
    assert 0.9 <= asked[1] - asked[0] < 3.0


async def test_an_absurd_retry_after_is_not_believed(tmp_path: Path, backend: BackendStandIn) -> None:
    answers = iter([Reply(503, headers={"Retry-After": "99999999"})])
    backend.answer = lambda _post: next(answers, Reply())
    async with relay(tmp_path, lineage_url=backend.url, retry_after_cap_seconds=0.1) as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: len(backend.accepted) == 1)


@pytest.mark.parametrize("status", [400, 404, 413, 422, 302])
async def test_what_will_never_pass_is_a_dead_letter_and_its_run_goes_on(
    tmp_path: Path, backend: BackendStandIn, status: int
) -> None:
    backend.answer = lambda seen: Reply(status, body=b"no such thing") if seen.kind == "START" else Reply()
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await send(sidecar.application.port, body(1, "START"), body(1, "COMPLETE"))
        await until(lambda: sidecar.writer.level.events == 0)
        assert sidecar.metrics.dead.values == {f"status_{status}": 1}
        assert sidecar.writer.level.dead_letters == 1
        row = await sidecar.writer.ask(
            lambda spool: spool._connection.execute("SELECT reason, detail, body FROM dead_letters").fetchone(),
            or_else=None,
        )
        assert row == (f"status_{status}", "no such thing", body(1, "START"))
        await send(sidecar.application.port, body(1, "START"))
        await until(lambda: sidecar.metrics.dead.total == 2)
    assert [seen.kind for seen in backend.posts] == ["START", "COMPLETE", "START"]


async def test_an_event_that_poisons_the_backend_becomes_a_dead_letter_while_others_pass(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    poisoned = run_id(13)
    backend.answer = lambda seen: Reply(500) if seen.run == poisoned and seen.kind == "START" else Reply()
    async with relay(tmp_path, lineage_url=backend.url, poison_attempts=3) as sidecar:
        await send(sidecar.application.port, body(13, "START"), body(13, "COMPLETE"))
        number = 0
        while not sidecar.metrics.dead.total:
            number += 1
            await send(sidecar.application.port, body(1, "OTHER", number))
        await until(lambda: sidecar.writer.level.events == 0)
        assert sidecar.metrics.dead.values == {"poison": 1}
        assert sidecar.metrics.delivered.total == number + 1
    assert [seen.kind for seen in backend.accepted if seen.run == poisoned] == ["COMPLETE"]
    assert len([seen for seen in backend.posts if seen.run == poisoned and seen.kind == "START"]) >= 3


async def test_while_nothing_passes_nothing_is_called_poison(tmp_path: Path, backend: BackendStandIn) -> None:
    backend.answer = lambda _post: Reply(500)
    async with relay(tmp_path, lineage_url=backend.url, poison_attempts=2) as sidecar:
        await send(sidecar.application.port, body(1), body(2), body(3))
        await until(lambda: len(backend.posts) > 15)
        assert sidecar.metrics.dead.total == 0
        backend.answer = lambda _post: Reply()
        await until(lambda: sidecar.writer.level.events == 0)
        assert sidecar.metrics.delivered.total == 3


@pytest.mark.requirement("HOUSE-7")
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_key_pauses_until_the_file_holds_another(
    tmp_path: Path, backend: BackendStandIn, status: int
) -> None:
    file = tmp_path / "key"
    file.write_text("old\n")
    backend.answer = lambda seen: Reply() if seen.headers.get("authorization") == "Bearer new" else Reply(status)
    async with relay(
        tmp_path, lineage_url=backend.url, lineage_api_key_file=file, lineage_api_key="fallback", retry_cap_seconds=3600
    ) as sidecar:
        await send(sidecar.application.port, body(1, "START"), body(1, "COMPLETE"))
        await until(lambda: bool(backend.posts))
        file.write_text("new\n")
        await until(lambda: sidecar.writer.level.events == 0)
        assert sidecar.metrics.dead.total == 0
    assert [seen.kind for seen in backend.accepted] == ["START", "COMPLETE"]
    assert {seen.headers["authorization"] for seen in backend.posts} == {"Bearer old", "Bearer new"}


@pytest.mark.requirement("HOUSE-7")
async def test_a_rotated_key_is_used_without_any_refusal(tmp_path: Path, backend: BackendStandIn) -> None:
    file = tmp_path / "key"
    file.write_text("old")
    async with relay(tmp_path, lineage_url=backend.url, lineage_api_key_file=file) as sidecar:
        await send(sidecar.application.port, body(number=1))
        await until(lambda: bool(backend.posts))
        file.write_text("new")
        number = 1
        while backend.posts[-1].headers["authorization"] != "Bearer new":
            number += 1
            await send(sidecar.application.port, body(number=number))
            await asyncio.sleep(0.05)
            assert number < 200


@pytest.mark.requirement("HOUSE-7")
async def test_what_a_backend_repeats_of_a_secret_is_kept_nowhere(tmp_path: Path, backend: BackendStandIn) -> None:
    backend.answer = lambda seen: Reply(400, body=f"bad key {seen.headers['authorization']}".encode())
    async with relay(tmp_path, lineage_url=backend.url, lineage_api_key="hunter2-secret") as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: sidecar.writer.level.dead_letters == 1)
    for file in (tmp_path / "spool").iterdir():
        assert b"hunter2" not in file.read_bytes()


async def test_a_backend_that_speaks_no_http_is_tried_again(tmp_path: Path) -> None:
    async def gibberish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"220 mail.example ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(gibberish, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with relay(tmp_path, lineage_url=url) as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: sidecar.metrics.retried.total > 1)
        assert "not HTTP" in sidecar.delivery.last.failure
    server.close()


async def test_a_name_that_nobody_knows_is_tried_again(tmp_path: Path) -> None:
    async with relay(tmp_path, lineage_url="http://no-such-host.invalid") as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: sidecar.metrics.retried.total > 0)
        assert sidecar.writer.level.events == 1


async def test_a_name_is_resolved(tmp_path: Path, backend: BackendStandIn) -> None:
    async with relay(tmp_path, lineage_url=f"http://localhost:{backend.port}") as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: len(backend.accepted) == 1)


async def test_a_kept_connection_that_the_backend_closed_costs_no_delay(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await send(sidecar.application.port, body(1))
        await until(lambda: len(backend.accepted) == 1)
        await backend.stop()
        await backend.start()
        await send(sidecar.application.port, body(2))
        await until(lambda: len(backend.accepted) == 2)
        assert sidecar.metrics.retried.total == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    ],
    ids=["an interim answer first", "no length", "chunked", "close"],
)
async def test_every_form_of_a_good_answer_is_understood(tmp_path: Path, raw: bytes) -> None:
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(body()))
        writer.write(raw)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with relay(tmp_path, lineage_url=url) as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: sidecar.writer.level.events == 0)
        assert (asked, sidecar.metrics.delivered.total) == (1, 1)
    server.close()


@pytest.mark.requirement("RELAY-2")
async def test_a_spool_that_cannot_be_read_for_a_while_is_read_when_it_can(
    tmp_path: Path, backend: BackendStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.answer = lambda _post: Reply(500)
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await send(sidecar.application.port, body(1), body(2))
        await until(lambda: bool(backend.posts))
        asked: list[int] = []

        def fail(*_arguments: object, **_named: object) -> None:
            asked.append(1)
            raise sqlite3.OperationalError("disk I/O error")

        with monkeypatch.context() as broken:
            for name in ("read_run", "read_after"):
                broken.setattr(sidecar.writer._spool, name, fail)
            await until(lambda: len(asked) >= 2)
        backend.answer = lambda _post: Reply()
        await until(lambda: sidecar.writer.level.events == 0)
        assert not sidecar.writer.level.failure
    assert len(backend.accepted) == 2


async def test_a_black_hole_is_given_up_after_the_timeout(tmp_path: Path) -> None:
    hole = socket.create_server(("127.0.0.1", 0), backlog=1)
    url = f"http://127.0.0.1:{hole.getsockname()[1]}"
    async with relay(tmp_path, lineage_url=url, lineage_timeout_seconds=0.1) as sidecar:
        await send(sidecar.application.port, body())
        await until(lambda: sidecar.metrics.retried.total > 1)
        assert "no answer" in sidecar.delivery.last.failure
    hole.close()
