"""HTTP/1.1 for the application and for people: a small protocol on httptools, with every bound that a server needs.

Keep-alive and pipelining (requests are passed on as they are complete, answers leave in the order of the requests),
chunked and compressed bodies, `Expect: 100-continue`. What is too large, too slow or not HTTP gets an answer and then
the end of its connection. What a request means is the handler's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import httptools

from floe_sidecar.bodies import Body, BodyRefusedError
from floe_sidecar.messages import Request, Response

_READ_HEADERS = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"traceparent",
        b"transfer-encoding",
    }
)
_MOST_PIPELINED = 64
_LINGER_SECONDS = 2.0


Respond = Callable[[Response], None]
Handler = Callable[[Request, Respond], None]
"""Takes a request and answers it, now or later on the same thread, exactly once."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a client may ask of a server; units as in `floe_sidecar.settings`."""

    body_max_bytes: int
    header_max_bytes: int
    inflight_max_bytes: int
    connections_max: int
    request_timeout_seconds: float
    idle_timeout_seconds: float


class Server:
    """A listening port: its connections, what they hold in memory together, and what was refused.

    `admits` decides by the `Authorization` header whether a request's body is read at all.
    """

    def __init__(
        self,
        handler: Handler,
        bounds: Bounds,
        *,
        refused: Callable[[str], None],
        fault: Callable[[int, str], Response],
        admits: Callable[[str], bool] | None = None,
    ) -> None:
        self._handler = handler
        self.admits = admits
        self.bounds = bounds
        self.refused = refused
        self.fault = fault
        self.connections: set[Connection] = set()
        self.inflight_bytes = 0
        self.port = 0
        self._loop = asyncio.get_running_loop()
        self._listener: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self.now = self._loop.time

    async def listen(self, host: str, port: int) -> None:
        """Binds the port; 0 takes a free one, which `port` then says."""
        self._listener = await self._loop.create_server(lambda: Connection(self), host, port, backlog=512)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def close(self, *, within_seconds: float) -> None:
        """Listens no more, lets requests that are complete be answered, and ends every connection."""
        if self._listener is not None:
            self._listener.close()
        deadline = self.now() + within_seconds
        while any(connection.owes_an_answer for connection in self.connections) and self.now() < deadline:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.005)
        for connection in list(self.connections):
            connection.end()
        if self._sweeping is not None:
            self._sweeping.cancel()
        await asyncio.sleep(0)  # closed transports tell their protocols in the next turn

    def handle(self, request: Request, respond: Respond) -> None:
        """Lets the handler answer; its own failure is an answer too."""
        try:
            self._handler(request, respond)
        except Exception:  # the outermost edge of a request
            logging.getLogger("floe_sidecar").exception("a request failed")
            self.refused("internal")
            respond(self.fault(500, "the relay failed at this request"))

    def watch(self) -> None:
        """Looks after slow and silent connections for as long as there are any."""
        if self._sweeping is None:
            every = min(1.0, self.bounds.request_timeout_seconds / 4, self.bounds.idle_timeout_seconds / 4)
            self._sweeping = self._loop.call_later(every, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        for connection in list(self.connections):
            connection.check(self.now())
        if self.connections:
            self.watch()


class _Exchange:
    """A request's place in the order of its connection, until its answer has left."""

    __slots__ = ("answer", "closes", "connection", "held_bytes", "with_body")

    def __init__(self, connection: Connection, *, closes: bool, with_body: bool, held_bytes: int) -> None:
        self.connection = connection
        self.closes = closes
        self.with_body = with_body
        self.held_bytes = held_bytes
        self.answer: bytes | None = None

    def respond(self, response: Response) -> None:
        """Gives the answer; it leaves when those before it have left."""
        if self.answer is None:
            self.connection.server.inflight_bytes -= self.held_bytes
            self.answer = response.encode(close=self.closes, with_body=self.with_body)
            self.connection.flush()


class Connection(asyncio.Protocol):
    """One client. The callbacks named `on_…` are httptools'."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._exchanges: deque[_Exchange] = deque()
        self._discarding = False
        self._ended = False
        self._lingering_since: float | None = None
        self._request_since: float | None = None
        self._active_at = server.now()
        self._writable = True
        self._continue_owed = False
        self._header_bytes = 0
        self._fed_in_header = 0
        self._in_header = False
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: Body | None = None

    @property
    def owes_an_answer(self) -> bool:
        """Whether a complete request waits for its answer."""
        return bool(self._exchanges)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; one too many is told so."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server gives
        self._transport = transport
        self.server.connections.add(self)
        self.server.watch()
        if len(self.server.connections) > self.server.bounds.connections_max:
            self._refuse(503, "connections", "too many connections")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it went makes no difference
        """The client is gone; what it sent whole is still done, its answers go nowhere."""
        self.server.connections.discard(self)
        self._release_body()
        self._transport = None

    def eof_received(self) -> bool:
        """A client that only sends no more still gets its answers."""
        self._discarding = self._ended = True
        if not self._exchanges:
            self.end()
        return bool(self._exchanges)

    def data_received(self, data: bytes) -> None:
        """Passes bytes to the parser, as long as they are wanted."""
        self._active_at = self.server.now()
        if self._discarding:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._decline(data[offer.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400, "not_http", "this is not HTTP/1.1")
        if self._in_header and not self._discarding:
            self._fed_in_header += len(data)
            if self._fed_in_header > 2 * self.server.bounds.header_max_bytes:
                self._refuse_header()

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        self._writable = False
        self._pause()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._writable = True
        self.flush()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_header = True
        self._header_bytes = self._fed_in_header = 0
        self._url = b""
        self._headers.clear()
        self._request_since = self.server.now()

    def on_url(self, url: bytes) -> None:
        """A part of its target."""
        self._url += url
        self._count_header(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """One of its headers."""
        self._count_header(len(name) + len(value) + 4)
        name = name.lower()
        if name in _READ_HEADERS:
            self._headers[name] = value

    def on_headers_complete(self) -> None:
        """Its headers are complete: what can be refused is refused before the body comes."""
        self._in_header = False
        if self._discarding:
            return
        headers, bounds = self._headers, self.server.bounds
        if self.server.admits is not None and not self.server.admits(self._header(b"authorization")):
            self._refuse(401, "unauthorised", "no token that is taken here stands in Authorization: Bearer")
            return
        try:
            self._body = Body(headers.get(b"content-encoding", b"").decode("latin-1"), bounds.body_max_bytes)
            self._body.announce(int(headers.get(b"content-length", b"0")))
        except BodyRefusedError as error:
            self._refuse(error.status, error.reason, str(error))
            return
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self._continue_owed = True
            self.flush()

    def on_body(self, chunk: bytes) -> None:
        """A part of its body."""
        if self._discarding or self._body is None:
            return
        before = self._body.size
        try:
            self._body.add(chunk)
        except BodyRefusedError as error:
            self.server.inflight_bytes += self._body.size - before
            self._refuse(error.status, error.reason, str(error))
            return
        self.server.inflight_bytes += self._body.size - before
        if self.server.inflight_bytes > self.server.bounds.inflight_max_bytes:
            self._refuse(503, "memory", "too many bytes of requests are being received at once")

    def on_message_complete(self) -> None:
        """It is complete and goes to the handler."""
        if self._discarding or self._body is None or self._parser.should_upgrade():
            return
        try:
            content = self._body.complete()
        except BodyRefusedError as error:
            self._refuse(error.status, error.reason, str(error))
            return
        self.server.inflight_bytes += len(content) - self._body.size
        method = self._parser.get_method().decode("latin-1")
        closes = not self._parser.should_keep_alive()
        exchange = _Exchange(self, closes=closes, with_body=method != "HEAD", held_bytes=len(content))
        self._body = None
        self._request_since = None
        self._exchanges.append(exchange)
        self._discarding = closes
        if len(self._exchanges) >= _MOST_PIPELINED:
            self._pause()
        path = self._url.partition(b"?")[0].decode("latin-1")
        headers = (self._header(b"authorization"), self._header(b"content-type"), self._header(b"traceparent"))
        self.server.handle(Request(method, path, content, self._active_at, *headers), exchange.respond)

    def flush(self) -> None:
        """Sends the answers whose turn it is."""
        if self._transport is None:
            self._exchanges.clear()
            return
        if not self._writable:
            return
        ready = []
        closes = False
        while self._exchanges and self._exchanges[0].answer is not None and not closes:
            exchange = self._exchanges.popleft()
            ready.append(exchange.answer or b"")
            closes = exchange.closes
        if self._continue_owed and not self._exchanges and not closes:
            self._continue_owed = False
            ready.append(b"HTTP/1.1 100 Continue\r\n\r\n")
        if ready:
            self._active_at = self.server.now()
            self._transport.write(ready[0] if len(ready) == 1 else b"".join(ready))
        if closes or (self._discarding and not self._exchanges and ready):
            self._linger()
        elif len(self._exchanges) < _MOST_PIPELINED // 2:
            self._transport.resume_reading()

    def check(self, now: float) -> None:
        """Ends what takes too long."""
        bounds = self.server.bounds
        if self._lingering_since is not None:
            if now - self._lingering_since > _LINGER_SECONDS:
                self.end()
        elif self._request_since is not None and not self._discarding:
            if now - self._request_since > bounds.request_timeout_seconds:
                self._refuse(
                    408, "too_slow", f"the request took more than {bounds.request_timeout_seconds:g} s to come"
                )
        elif not self._exchanges and now - self._active_at > bounds.idle_timeout_seconds:
            self.end()

    def end(self) -> None:
        """Closes the connection after what is written has left."""
        if self._transport is not None:
            self._transport.close()

    def _decline(self, rest: bytes) -> None:
        """Takes a request that offers another protocol as what it is in HTTP/1.1, as RFC 9110 7.8 allows.

        The parser stops behind the headers of such a request and leaves its body out: it is read again
        without the offer.
        """
        self._headers.pop(b"expect", None)  # it is answered already
        method = self._parser.get_method()
        lines = [b"%b %b HTTP/1.1" % (method, self._url), b"Connection: close"]
        lines += [b"%b: %b" % header for header in self._headers.items()]
        self._release_body()
        self._parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def _refuse(self, status: int, reason: str, what: str) -> None:
        """Answers a fault of the transport as the connection's last answer."""
        self._discarding = True
        self._continue_owed = False
        self._release_body()
        self.server.refused(reason)
        exchange = _Exchange(self, closes=True, with_body=True, held_bytes=0)
        self._exchanges.append(exchange)
        exchange.respond(self.server.fault(status, what))

    def _refuse_header(self) -> None:
        self._refuse(
            431, "header", f"the request's line and headers exceed {self.server.bounds.header_max_bytes} bytes"
        )

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self.server.bounds.header_max_bytes and not self._discarding:
            self._refuse_header()

    def _header(self, name: bytes) -> str:
        return self._headers.get(name, b"").decode("latin-1")

    def _release_body(self) -> None:
        if self._body is not None:
            self.server.inflight_bytes -= self._body.size
            self._body = None

    def _linger(self) -> None:
        """Reads on without looking until the client has closed: a reset would take the last answer from it."""
        if self._ended:
            self.end()
        elif self._lingering_since is None and self._transport is not None:
            self._lingering_since = self.server.now()
            self._discarding = True
            self._transport.resume_reading()
            if self._transport.can_write_eof():
                self._transport.write_eof()

    def _pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
