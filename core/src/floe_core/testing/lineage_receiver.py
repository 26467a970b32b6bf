"""A small HTTP server on the loopback that takes OpenLineage events and remembers how they came.

Stands in for any lineage backend: it answers 201 as Marquez does and judges nothing.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class LineageReceiver:
    """The running server.

    Attributes:
        origin: Its URL without a path.
        received: Requests so far, with lower-case header names.
    """

    origin: str
    received: list[Received] = field(default_factory=list)


@contextmanager
def lineage_receiver() -> Iterator[LineageReceiver]:
    """A server that runs until the end of the block."""
    received: list[Received] = []

    class Handler(BaseHTTPRequestHandler):
        """Takes every POST."""

        def do_POST(self) -> None:
            """Remembers the request and answers 201."""
            raw = self.rfile.read(int(self.headers.get("content-length", 0)))
            compressed = self.headers.get("content-encoding") is not None
            headers = {name.lower(): value for name, value in self.headers.items()}
            received.append(Received(self.path, headers, None if compressed else json.loads(raw)))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Prints nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield LineageReceiver(f"http://127.0.0.1:{server.server_port}", received)
        finally:
            server.shutdown()
            thread.join()
