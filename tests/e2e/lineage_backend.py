"""A stand-in for a lineage backend that pods reach: Marquez itself is in no package registry.

It answers as Marquez documents: 201 without a body for an event on `/api/v1/lineage`. It keeps what it got.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LineageBackend:
    """What a backend got; a test waits for an event."""

    def __init__(self, host: str, port: int) -> None:
        self.url = f"http://{host}:{port}"
        self._events: list[dict[str, Any]] = []
        self._arrived = threading.Condition()

    def take(self, event: dict[str, Any]) -> None:
        """Keeps an event."""
        with self._arrived:
            self._events.append(event)
            self._arrived.notify_all()

    def event(self, job: str, timeout_seconds: float = 30.0) -> dict[str, Any]:
        """The first event of a job; waits for it.

        Raises:
            TimeoutError: None came in time.
        """
        return self._first(f"job {job!r}", lambda event: event["job"]["name"] == job, timeout_seconds)

    def end_of(self, run_id: str, timeout_seconds: float = 30.0) -> dict[str, Any]:
        """The event that ends a run; waits for it.

        Raises:
            TimeoutError: None came in time.
        """

        def ends(event: dict[str, Any]) -> bool:
            return event["run"]["runId"] == run_id and event["eventType"] in {"COMPLETE", "FAIL", "ABORT"}

        return self._first(f"the end of run {run_id}", ends, timeout_seconds)

    def _first(
        self, wanted: str, is_wanted: Callable[[dict[str, Any]], bool], timeout_seconds: float
    ) -> dict[str, Any]:
        with self._arrived:
            if not self._arrived.wait_for(lambda: any(map(is_wanted, self._events)), timeout_seconds):
                names = sorted({event["job"]["name"] for event in self._events})
                raise TimeoutError(f"no event of {wanted} after {timeout_seconds:g} s; there are events of {names}")
            return next(filter(is_wanted, self._events))


@contextmanager
def lineage_backend(host: str) -> Iterator[LineageBackend]:
    """A backend that listens on an address of this machine."""

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Takes an event."""
            event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = 201 if self.path == "/api/v1/lineage" else 404
            if status == 201:
                backend.take(event)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Keeps quiet."""

    with ThreadingHTTPServer((host, 0), Requests) as server:
        backend = LineageBackend(host, server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield backend
        finally:
            server.shutdown()
            thread.join()
