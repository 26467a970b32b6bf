"""Servers on the loopback that answer OpenLineage clients as the vendors document it.

| vendor       | events                                           | key    | an account's probe                     |
|--------------|--------------------------------------------------|--------|----------------------------------------|
| Marquez      | POST /api/v1/lineage: 201; else 400 or 404       | none   | none                                   |
| Atlan        | POST /events/openlineage/<source>/api/v1/lineage | Bearer | GET /api/meta/types/typedefs?type=ENUM |
| OpenMetadata | POST /api/v1/openlineage/lineage                 | Bearer | GET /api/v1/users/loggedInUser         |

A wrong Bearer token gets 401, and so does at Atlan a source that nobody has set up: Atlan's own SDKs tell the two apart
by the answer's text ("url path not configured to receive data").

Sources: Marquez' OpenLineageResource; docs.atlan.com "Integrate Generic OpenLineage", developer.atlan.com/endpoints and
pyatlan's OpenLineageClient; docs.open-metadata.org 2.0 "OpenLineage Events" and the users API.
"""

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "t0ken-that-must-stay-hidden"


@dataclass(frozen=True, slots=True)
class Vendor:
    """What a vendor answers.

    Attributes:
        event_path: Where events are posted.
        accepted: Status of an event that is taken.
        account_path: Path and query that tell whose token it is; None if there is no account.
        unknown_event_path: Status of an event that is posted elsewhere.
    """

    event_path: str
    accepted: int
    account_path: str | None = None
    unknown_event_path: int = 404

    def status(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """The status of a request."""
        expected = {"POST": self.event_path, "GET": self.account_path}.get(method)
        if path != expected:
            return self.unknown_event_path if method == "POST" else 404
        if self.account_path is not None and headers.get("authorization") != f"Bearer {KEY}":
            return 401
        if method == "GET":
            return 200
        return self.accepted if _is_event(body) else 400


MARQUEZ = Vendor("/api/v1/lineage", 201)
ATLAN = Vendor(
    "/events/openlineage/generic-openlineage/api/v1/lineage",
    200,
    "/api/meta/types/typedefs?type=ENUM",
    unknown_event_path=401,
)
OPENMETADATA = Vendor("/api/v1/openlineage/lineage", 200, "/api/v1/users/loggedInUser")


@dataclass(slots=True)
class StandIn:
    """The running server.

    Attributes:
        origin: Its URL without a path.
        events: The events that it took.
        requests: Method, path and status of everything that it was asked.
    """

    origin: str
    events: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, int]] = field(default_factory=list)


@contextmanager
def standing_in(vendor: Vendor, context: ssl.SSLContext | None = None) -> Iterator[StandIn]:
    """A vendor that runs until the end of the block, over TLS if a context is given."""
    scheme = "https" if context else "http"
    stand_in = StandIn("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status = vendor.status(self.command, self.path, headers, body)
            stand_in.requests.append((self.command, self.path, status))
            if self.command == "POST" and status == vendor.accepted:
                stand_in.events.append(json.loads(body))
            # It echoes what it was told, as some backends do: nobody may print an answer.
            answer = headers.get("authorization", "").encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        stand_in.origin = f"{scheme}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def black_hole() -> Iterator[int]:
    """A port whose queue of connections is full: the kernel answers nobody any more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for guest in waiting:
                guest.setblocking(False)
                with suppress(BlockingIOError):
                    guest.connect(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            for guest in waiting:
                guest.close()


def _is_event(body: bytes) -> bool:
    try:
        event = json.loads(body)
    except ValueError:
        return False
    return isinstance(event, dict) and {"eventTime", "run", "job", "producer", "schemaURL"} <= event.keys()
