"""A small HTTP/1.1 client on httptools: posts a body, keeps connections alive, reads the beginning of the answer.

It exists because of its size: `httpcore` brings h11, anyio and `ssl` even for plain HTTP, 7 MiB in each pod.
"""

from __future__ import annotations

import asyncio

import httptools

from floe_sidecar.retries import Answer
from floe_sidecar.roads import Road

ANSWER_BYTES = 2048
"""Of an answer's body, for people."""

_MOST_IDLE = 32
_ONE_WRITE_BYTES = 64 * 1024
"""Up to here a copy costs less than a second packet; beyond it, memory is what counts."""


class Client:
    """Requests over one road; of an answer's body `answer_bytes` are read."""

    def __init__(self, road: Road, *, timeout_seconds: float, answer_bytes: int = ANSWER_BYTES) -> None:
        self._answer_bytes = answer_bytes
        self._road = road
        self._timeout_seconds = timeout_seconds
        self._idle: list[_Connection] = []

    async def post(self, head: bytes, body: bytes) -> Answer:
        """Sends a request and gives the answer; a failure is an answer without a status."""
        if self._road.was_renewed():
            self.close()
        head = self._road.request(head)
        request = (head + body,) if len(body) <= _ONE_WRITE_BYTES else (head, body)
        try:
            while self._idle:
                connection = self._idle.pop()
                if connection.is_usable:
                    answer = await self._exchange(connection, request)
                    if answer is not None:
                        return answer
            connection = await self._connect()
            return await self._exchange(connection, request) or Answer(None, detail="the connection was closed")
        except TimeoutError:
            return Answer(None, detail=f"no answer within {self._timeout_seconds:g} s")
        except OSError as error:
            return Answer(None, detail=_words(error))

    def close(self) -> None:
        """Ends the connections that are kept."""
        for connection in self._idle:
            connection.abort()
        self._idle.clear()

    async def _exchange(self, connection: _Connection, request: tuple[bytes, ...]) -> Answer | None:
        """None if a kept connection turned out to be closed before anything came back: a new one is right then."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await connection.exchange(request)
        except BaseException:
            connection.abort()
            raise
        if connection.is_usable and len(self._idle) < _MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    async def _connect(self) -> _Connection:
        async with asyncio.timeout(self._timeout_seconds):
            return await self._road.open(lambda: _Connection(self._answer_bytes))


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time. The callbacks named `on_…` are httptools'."""

    def __init__(self, answer_bytes: int) -> None:
        self._answer_bytes = answer_bytes
        self._transport: asyncio.Transport | None = None
        self._closed = False
        self._renew()

    @property
    def is_usable(self) -> bool:
        """Whether another request may be sent."""
        return not self._closed and self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: tuple[bytes, ...]) -> Answer | None:
        """Sends and waits for the answer."""
        self._renew()
        assert self._transport is not None  # noqa: S101 - connections are used after they are made
        for part in request:
            self._transport.write(part)
        return await self._answer

    def abort(self) -> None:
        """Ends the connection at once."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_connection gives
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Reads the answer."""
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._closed = True
            self._finish(Answer(None, detail="the answer is not HTTP/1.1"))

    def eof_received(self) -> bool:
        """The backend sends no more."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; an answer without a length ends here."""
        self._closed = True
        if self._status:
            self._finish(self._read_answer())
        elif exc is not None and not self._answer.done():
            self._answer.set_exception(exc if isinstance(exc, OSError) else OSError(str(exc)))
            self._answer.exception()  # whoever waits gets it all the same
        else:
            self._finish(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer."""
        if name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1")

    def on_body(self, chunk: bytes) -> None:
        """A part of its body."""
        if len(self._content) < self._answer_bytes:
            self._content += chunk[: self._answer_bytes - len(self._content)]

    def on_headers_complete(self) -> None:
        """Its status is known."""
        self._status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        """It is complete."""
        if self._status < 200:  # noqa: PLR2004 - an interim answer; the real one follows
            self._status, self._retry_after, self._content = 0, "", b""
            return
        if not self._parser.should_keep_alive():
            self._closed = True
        self._finish(self._read_answer())

    def _renew(self) -> None:
        self._answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._retry_after = ""
        self._content = b""

    def _read_answer(self) -> Answer:
        detail = self._content[:ANSWER_BYTES].decode("utf-8", "replace")
        return Answer(self._status, self._retry_after, detail, self._content)

    def _finish(self, answer: Answer | None) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)


def _words(error: OSError) -> str:
    """What went wrong, without the addresses that asyncio repeats."""
    return error.strerror or str(error) or type(error).__name__
