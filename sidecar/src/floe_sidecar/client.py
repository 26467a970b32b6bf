"""A small HTTP/1.1 client on httptools: posts a body, keeps connections alive, reads the beginning of the answer.

It exists because of its size: `httpcore` brings h11, anyio and `ssl` even for plain HTTP, 7 MiB in each pod. Names
are resolved on a daemon thread, so that a name server that does not answer never holds up the end of the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING

import httptools

from floe_sidecar.retries import Answer

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

_DETAIL_BYTES = 2048
_MOST_IDLE = 32
_ONE_WRITE_BYTES = 64 * 1024
"""Up to here a copy costs less than a second packet; beyond it, memory is what counts."""


class Client:
    """Requests to one host. `tls` is None for plain HTTP."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None, timeout_seconds: float) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._timeout_seconds = timeout_seconds
        self._idle: list[_Connection] = []

    async def post(self, head: bytes, body: bytes) -> Answer:
        """Sends a request and gives the answer; a failure is an answer without a status."""
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
            addresses = await _resolve(self._host, self._port)
            problem: OSError = OSError("the name has no address")
            for address in addresses:
                try:
                    _, connection = await asyncio.get_running_loop().create_connection(
                        _Connection,
                        address,
                        self._port,
                        ssl=self._tls,
                        server_hostname=self._host if self._tls is not None else None,
                    )
                except OSError as error:
                    problem = error
                else:
                    return connection
            raise problem


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """What https needs; the system's authorities without a file.

    Raises:
        OSError: The file holds no certificates that can be read.
    """
    import ssl  # noqa: PLC0415 - 4.4 MiB that plain HTTP does not pay

    return ssl.create_default_context(cafile=ca_file)


class _Connection(asyncio.Protocol):
    """One connection, one exchange at a time. The callbacks named `on_…` are httptools'."""

    def __init__(self) -> None:
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
        if len(self._detail) < _DETAIL_BYTES:
            self._detail += chunk[: _DETAIL_BYTES - len(self._detail)]

    def on_headers_complete(self) -> None:
        """Its status is known."""
        self._status = self._parser.get_status_code()

    def on_message_complete(self) -> None:
        """It is complete."""
        if self._status < 200:  # noqa: PLR2004 - an interim answer; the real one follows
            self._status, self._retry_after, self._detail = 0, "", b""
            return
        if not self._parser.should_keep_alive():
            self._closed = True
        self._finish(self._read_answer())

    def _renew(self) -> None:
        self._answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._retry_after = ""
        self._detail = b""

    def _read_answer(self) -> Answer:
        return Answer(self._status, self._retry_after, self._detail.decode("utf-8", "replace"), self._detail)

    def _finish(self, answer: Answer | None) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)


async def _resolve(host: str, port: int) -> list[str]:
    """The host's addresses, in the resolver's order."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return [host]
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def tell(addresses: list[str], error: OSError | None) -> None:
        if found.done():
            return
        if error is None:
            found.set_result(addresses)
        else:
            found.set_exception(error)

    def look_up() -> None:
        addresses: list[str] = []
        problem: OSError | None = None
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except OSError as error:
            problem = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, addresses, problem)

    threading.Thread(target=look_up, name="resolve", daemon=True).start()
    return await found


def _words(error: OSError) -> str:
    """What went wrong, without the addresses that asyncio repeats."""
    return error.strerror or str(error) or type(error).__name__
