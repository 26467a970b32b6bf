"""A lean sender of AdmissionReviews over TLS, in a process of its own, and the bare server that is its limit.

`python -m tests.benchmarks.admission_load send PORT CA BODY CONNECTIONS SECONDS` prints one JSON object with what it
saw. `… echo CERTIFICATE KEY PORT_FILE` serves with aiohttp, uvloop and orjson, and does nothing else: it decodes the
review, takes its uid and allows.
"""

import asyncio
import json
import ssl
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import uvloop
from aiohttp import web

from tests.benchmarks.report import percentile

ROOT = Path(__file__).parents[2]
_WARM_UP = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sender saw: all answers, and after the warm-up answers a second and milliseconds that one took."""

    answers: int
    failed: int
    per_second: float
    p50_ms: float
    p99_ms: float
    answer_bytes: int


def send(port: int, authority: Path, body: Path, *, connections: int, seconds: float) -> Seen:
    """Runs the sender in a process of its own and gives what it saw."""
    command = [sys.executable, "-m", "tests.benchmarks.admission_load", "send", str(port), str(authority), str(body)]
    told = subprocess.run(
        [*command, str(connections), str(seconds)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return Seen(**json.loads(told.stdout))


class _Sender(asyncio.Protocol):
    """One connection that always has one request under way, until it is told to stop."""

    def __init__(self, request: bytes, ended: asyncio.Event) -> None:
        self.request = request
        self.ended = ended
        self.latencies: list[float] = []
        self.failed = 0
        self.answer_bytes = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing = 0
        self._sent_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport
        self._post()

    def data_received(self, data: bytes) -> None:
        if self._missing == 0:
            head, _, rest = data.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            self.failed += not head.startswith(b"HTTP/1.1 200")
            self.answer_bytes = length
            self._missing = length - len(rest)
        else:
            self._missing -= len(data)
        if self._missing == 0:
            self.latencies.append((time.perf_counter() - self._sent_at) * 1000)
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)
        self.failed += exc is not None

    def _next(self) -> None:
        if self.ended.is_set():
            assert self._transport is not None
            self._transport.close()
        else:
            self._post()

    def _post(self) -> None:
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        self._transport.write(self.request)


async def _send(port: int, authority: Path, body: bytes, connections: int, seconds: float) -> Seen:
    head = f"POST /mutate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    request = head.encode() + b"\r\n\r\n" + body
    context = ssl.create_default_context(cafile=authority)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    senders = []
    for _ in range(connections):
        _, sender = await loop.create_connection(lambda: _Sender(request, ended), "127.0.0.1", port, ssl=context)
        senders.append(sender)
    while sum(len(sender.latencies) for sender in senders) < _WARM_UP:  # noqa: ASYNC110 - their work is waited for
        await asyncio.sleep(0.01)
    warm_up = sum(len(sender.latencies) for sender in senders)
    for sender in senders:
        sender.latencies.clear()
    started = time.perf_counter()
    await asyncio.sleep(seconds)
    latencies = [latency for sender in senders for latency in sender.latencies]
    elapsed = time.perf_counter() - started
    ended.set()
    await asyncio.gather(*(sender.done for sender in senders))
    return Seen(
        answers=warm_up + sum(len(sender.latencies) for sender in senders),
        failed=sum(sender.failed for sender in senders),
        per_second=len(latencies) / elapsed,
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        answer_bytes=senders[0].answer_bytes,
    )


async def _echo(certificate: Path, key: Path, port_file: Path) -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        document = orjson.loads(await request.read())
        told = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {"uid": document["request"]["uid"], "allowed": True},
        }
        return web.Response(body=orjson.dumps(told), content_type="application/json")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port_file.write_text(str(runner.addresses[0][1]))  # noqa: ASYNC240 - before anything is served
    await asyncio.Event().wait()


def _main() -> None:
    what, *arguments = sys.argv[1:]
    if what == "echo":
        certificate, key, port_file = map(Path, arguments)
        uvloop.run(_echo(certificate, key, port_file))
        return
    port, authority, body, connections, seconds = arguments
    seen = uvloop.run(_send(int(port), Path(authority), Path(body).read_bytes(), int(connections), float(seconds)))
    sys.stdout.write(json.dumps(asdict(seen)) + "\n")


if __name__ == "__main__":
    _main()
