"""A lean sender of lineage: raw sockets in a process of its own, so that it takes little from what it measures.

`python -m tests.benchmarks.load PORT CONNECTIONS SECONDS RATE [otlp]` sends events of 5 KB over connections that are
kept alive, and prints one JSON object with what it saw. A rate of 0 sends as fast as answers come; `otlp` wraps each
event into a log record for a Collector.
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tests.benchmarks.report import percentile

ROOT = Path(__file__).parents[2]
EVENT_BYTES = 5000


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sender saw: acknowledgements a second and how long one took, in milliseconds."""

    acked: int
    failed: int
    per_second: float
    p50_ms: float
    p99_ms: float


def event(number: int, run: int) -> bytes:
    """An event of 5 KB as dbt sends them: one run's START or COMPLETE with a column schema."""
    run_id = UUID(int=(run << 64) | 0x7000_8000_0000_0000_0000)
    fields = [{"name": f"column_{n}", "type": "VARCHAR", "description": "what stands here"} for n in range(52)]
    producer = "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/client/python"
    schema = {"_producer": producer, "_schemaURL": "https://openlineage.io/spec/facets/1-2-0/SchemaDatasetFacet.json"}
    document = {
        "eventTime": f"2026-01-01T00:00:00.{number % 1_000_000:06d}Z",
        "eventType": "START" if number % 2 == 0 else "COMPLETE",
        "inputs": [{"namespace": "duckdb://demo.duckdb", "name": "demo.main.orders", "facets": {}}],
        "job": {"namespace": "sales/orders", "name": "demo.main.shop.orders", "facets": {}},
        "outputs": [
            {
                "namespace": "duckdb://demo.duckdb",
                "name": "demo.main.customers",
                "facets": {"schema": {**schema, "fields": fields}},
            }
        ],
        "producer": producer,
        "run": {"runId": str(run_id), "facets": {}},
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }
    body = json.dumps(document)
    padding = max(0, EVENT_BYTES - len(body) - len(', "padding": ""'))
    return (body[:-1] + ', "padding": "' + "x" * padding + '"}').encode()


def log_record(event_body: bytes) -> bytes:
    """The event as the one log record of an OTLP export request, in JSON."""
    record = {"timeUnixNano": "1", "body": {"stringValue": event_body.decode()}}
    scope = {"scope": {}, "logRecords": [record]}
    return json.dumps({"resourceLogs": [{"resource": {}, "scopeLogs": [scope]}]}).encode()


def send(port: int, *, connections: int, seconds: float, rate: float = 0.0, otlp: bool = False) -> Seen:
    """Runs the sender in a process of its own and gives what it saw."""
    command = [sys.executable, "-m", "tests.benchmarks.load", str(port), str(connections), str(seconds), str(rate)]
    command += ["otlp"] if otlp else []
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return Seen(**json.loads(told.stdout))


class _Sender:
    """One connection that always has one request under way, or waits for its turn."""

    def __init__(self, port: int, run: int, *, otlp: bool) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        body = log_record(event(0, run)) if otlp else event(0, run)
        path = "/v1/logs" if otlp else "/api/v1/lineage"
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        # Only the digits of the time differ from event to event, as cheaply as can be.
        at = body.index(b".000000Z") + 1
        self._before, self._after = head.encode() + body[:at], body[at + 6 :]
        self._number = 0

    def post(self) -> None:
        self._number += 1
        self.sent_at = time.perf_counter()
        self.socket.sendall(b"%b%06d%b" % (self._before, self._number, self._after))


def _run(port: int, connections: int, seconds: float, rate: float, *, otlp: bool) -> Seen:
    selector = selectors.DefaultSelector()
    senders = [_Sender(port, run + int(time.time() * 1000) % 2**32 * 1000, otlp=otlp) for run in range(connections)]
    for sender in senders:
        selector.register(sender.socket, selectors.EVENT_READ, sender)
    idle = deque(senders)
    latencies: list[float] = []
    failed = sent = 0
    started = time.perf_counter()
    while (now := time.perf_counter()) - started < seconds:
        while idle and (rate == 0 or sent < (now - started) * rate):
            idle.popleft().post()
            sent += 1
        for key, _ in selector.select(0.001 if idle else 1.0):
            answer = key.fileobj.recv(4096)  # type: ignore[union-attr]  # sockets were registered
            if not answer:
                raise SystemExit("the connection was closed")
            latencies.append((time.perf_counter() - key.data.sent_at) * 1000)
            failed += not answer.startswith((b"HTTP/1.1 201", b"HTTP/1.1 200"))
            idle.append(key.data)
    elapsed = time.perf_counter() - started
    for sender in senders:
        sender.socket.close()
    acked = len(latencies) - failed
    return Seen(acked, failed, acked / elapsed, percentile(latencies, 0.5), percentile(latencies, 0.99))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    seen = _run(
        int(arguments[0]), int(arguments[1]), float(arguments[2]), float(arguments[3]), otlp="otlp" in arguments
    )
    sys.stdout.write(json.dumps({name: getattr(seen, name) for name in Seen.__slots__}) + "\n")
