"""An answer comes in time or is an answer without a decision; whoever is slow, silent or too many is cut off."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from floe_webhook.admission import Problem, Review, review
from floe_webhook.connections import SILENT, TOO_MANY, Listener
from floe_webhook.injection import Injection
from floe_webhook.profile import Profile
from floe_webhook.server import _allowed_seconds
from webhook.tests.builders import container, pod
from webhook.tests.reviews import UID, admission_review, patched
from webhook.tests.serving.conftest import Serving
from webhook.tests.waiting import until

pytestmark = pytest.mark.requirement("HOUSE-3", "FP-25")

REVIEW = json.dumps(admission_review(pod())).encode()
BIG_REVIEW = json.dumps(admission_review(pod(container(variables={"BIG": "x" * 100_000})))).encode()


class Slow:
    """Surroundings that answer when they are told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = asyncio.Event()

    async def review(self, request: Review, profile: Profile, *, namespace_label: str | None) -> Injection:
        self.asked += 1
        await self.answer.wait()
        return review(request, profile, namespace_label=namespace_label)


@asynccontextmanager
async def connection(serving: Serving) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection on which a test says what it likes."""
    trust = ssl.create_default_context(cadata=serving.authority.certificate_pem.decode())
    reader, writer = await asyncio.open_connection("127.0.0.1", int(serving.url.rpartition(":")[2]), ssl=trust)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(body: bytes, path: str = "/mutate") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()


async def sample(serving: Serving, name: str) -> float:
    text = (await serving.client.get("/metrics")).text
    return next(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def undecided(problem: Problem) -> dict[str, object]:
    return {"uid": UID, "allowed": True, "auditAnnotations": {"problem": problem}}


async def test_what_the_cluster_knows_takes_part_in_the_decision(serving: Serving) -> None:
    surroundings = Slow()
    surroundings.answer.set()
    serving.webhook.surroundings = surroundings
    document = pod()
    found = (await serving.client.post("/mutate", json=admission_review(document))).json()
    assert surroundings.asked == 1
    assert patched(document, found)["metadata"]["labels"]["floe.dev/injected"] == "true"


async def test_a_cluster_that_answers_too_late_lets_the_pod_go_as_it_is(serving: Serving) -> None:
    serving.webhook.surroundings = Slow()
    serving.webhook.answer_seconds = 0.05
    found = await serving.client.post("/mutate", content=REVIEW, headers={"Content-Type": "application/json"})
    assert found.json()["response"] == undecided(Problem.TOO_SLOW)
    assert await sample(serving, 'floe_webhook_reasons_total{reason="too_slow"}') == 1
    again = await serving.client.get("/healthz")
    assert again.status_code == 200, "the connection stays, its request was read as a whole"


@pytest.mark.parametrize(
    ("bound", "problem"),
    [
        pytest.param({"answer_seconds": 0.05}, Problem.TOO_SLOW, id="too slow"),
        pytest.param({"max_waiting": 0}, Problem.TOO_BUSY, id="too busy"),
    ],
)
async def test_whose_pod_goes_as_it_is_for_want_of_time_is_told(
    serving: Serving, bound: dict[str, float], problem: Problem
) -> None:
    told: list[tuple[str, Problem]] = []
    serving.webhook.surroundings = Slow()
    serving.webhook.failed = lambda admitted, because: told.append((admitted.uid, because))
    for name, value in bound.items():
        setattr(serving.webhook, name, value)
    await serving.client.post("/mutate", content=REVIEW, headers={"Content-Type": "application/json"})
    assert told == [(UID, problem)]


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ("", 4),
        ("timeout=5s", 4),
        ("timeout=2s", 1.6),
        ("a=b&timeout=1s", 0.8),
        ("timeout=30s", 4),
        ("timeout=soon", 4),
        ("timeout", 4),
    ],
)
def test_the_api_server_says_how_long_it_waits(query: str, seconds: float) -> None:
    assert _allowed_seconds(query, 4.0) == pytest.approx(seconds)


async def test_a_body_that_does_not_come_is_not_waited_for(serving: Serving) -> None:
    serving.webhook.answer_seconds = 0.05
    async with connection(serving) as (reader, writer):
        writer.write(head(BIG_REVIEW) + BIG_REVIEW[:50_000])
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        body = json.loads(await asyncio.wait_for(reader.read(1000), 30))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Connection: close" in answer
    assert body["response"] == undecided(Problem.TOO_SLOW)


async def test_beyond_the_bound_pods_go_as_they_are_and_at_once(serving: Serving) -> None:
    surroundings = Slow()
    serving.webhook.surroundings = surroundings
    serving.webhook.max_waiting = 2

    async def ask() -> dict[str, object]:
        answer = await serving.client.post("/mutate", content=REVIEW, headers={"Content-Type": "application/json"})
        found: dict[str, object] = answer.json()["response"]
        return found

    waiting = [asyncio.create_task(ask()) for _ in range(2)]
    await until(lambda: surroundings.asked == 2, "both waiting")
    assert await ask() == undecided(Problem.TOO_BUSY)
    surroundings.answer.set()
    assert all("patch" in found for found in await asyncio.gather(*waiting))
    assert "patch" in await ask(), "there is room again"
    assert await sample(serving, 'floe_webhook_reasons_total{reason="too_busy"}') == 1


async def test_beyond_the_bound_a_body_is_read_only_until_its_uid_is_known(serving: Serving) -> None:
    serving.webhook.max_waiting = 0
    async with connection(serving) as (reader, writer):
        writer.write(head(BIG_REVIEW) + BIG_REVIEW[:50_000])
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        body = json.loads(await asyncio.wait_for(reader.read(1000), 30))
    assert body["response"] == undecided(Problem.TOO_BUSY)


async def test_a_compressed_body_is_not_blown_up(serving: Serving) -> None:
    packed = gzip.compress(REVIEW + b" " * 50_000_000)
    types = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    found = await serving.client.post("/mutate", content=packed, headers=types)
    assert (found.status_code, found.json()["problem"]) == (400, Problem.MALFORMED)


async def test_a_body_in_pieces_is_put_together(serving: Serving) -> None:
    async with connection(serving) as (reader, writer):
        writer.write(head(BIG_REVIEW) + BIG_REVIEW[:50_000])
        await writer.drain()
        await serving.client.get("/healthz")  # the webhook has turned to others meanwhile
        writer.write(BIG_REVIEW[50_000:])
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = json.loads(await asyncio.wait_for(reader.readexactly(length), 30))
    assert "patch" in body["response"]


class TestConnections:
    """Those who say nothing, and those who are too many."""

    @pytest.fixture
    def cut(self) -> Counter:
        return Counter("cut", "Cut", ["cause"], registry=CollectorRegistry())

    @pytest.fixture
    async def listening(self, serving: Serving, cut: Counter) -> AsyncIterator[Callable[..., object]]:
        made: list[Listener] = []

        async def listen(**bounds: float) -> int:
            listener = Listener(cut, **bounds)  # type: ignore[arg-type]  # one of them is a whole number
            await listener.start(serving.webhook.health(), "127.0.0.1", 0)
            made.append(listener)
            return listener.address[1]

        yield listen
        for listener in made:
            await listener.stop()

    @pytest.mark.parametrize("said", [b"", b"GET /healthz HT"], ids=["nothing", "half a line"])
    async def test_a_client_that_does_not_ask_is_cut(
        self, listening: Callable[..., object], cut: Counter, said: bytes
    ) -> None:
        port: int = await listening(head_seconds=0.05)  # type: ignore[misc]  # the fixture's coroutine
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()
        assert cut.labels(SILENT)._value.get() == 1

    async def test_a_client_that_has_asked_may_be_silent(self, listening: Callable[..., object], cut: Counter) -> None:
        port: int = await listening(head_seconds=0.5)  # type: ignore[misc]  # the fixture's coroutine
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            await http.get("/healthz")
            silent_reader, silent = await asyncio.open_connection("127.0.0.1", port)
            assert await asyncio.wait_for(silent_reader.read(), 30) == b"", "others are cut meanwhile"
            silent.close()
            assert (await http.get("/healthz")).status_code == 200
        assert cut.labels(SILENT)._value.get() == 1

    async def test_more_connections_than_the_bound_are_cut_and_room_is_made_by_those_that_end(
        self, listening: Callable[..., object], cut: Counter
    ) -> None:
        port: int = await listening(max_connections=1)  # type: ignore[misc]  # the fixture's coroutine
        origin = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=origin, trust_env=False) as first:
            await first.get("/healthz")
            async with httpx.AsyncClient(base_url=origin, trust_env=False) as second:
                with pytest.raises(httpx.TransportError):
                    await second.get("/healthz")
            assert (await first.get("/healthz")).status_code == 200
        assert cut.labels(TOO_MANY)._value.get() == 1


async def test_the_health_port_takes_no_admission(serving: Serving) -> None:
    listener = Listener(serving.webhook.metrics.connections_cut)
    await listener.start(serving.webhook.health(), "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{listener.address[1]}"
    async with httpx.AsyncClient(base_url=origin, trust_env=False) as http:
        statuses = {path: (await http.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")}
        refused = (await http.post("/mutate", content=REVIEW)).status_code
    await listener.stop()
    assert statuses == {"/healthz": 200, "/readyz": 200, "/metrics": 200}
    assert refused == 404
