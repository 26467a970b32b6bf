"""Listening, and who may stay connected: clients that say nothing, or too many of them, are cut off."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler
from prometheus_client import Counter

Answer = Callable[[web.BaseRequest], Awaitable[web.Response]]

HANDSHAKE_SECONDS = 5.0
HEAD_SECONDS = 5.0
"""Until the first request's head has come; the API server waits no longer for the whole answer."""

IDLE_SECONDS = 120.0
"""Between two requests. Go's client gives up a connection after 90 s: whoever closes it, it should not be us."""

LINGERING_SECONDS = 0.5
"""What comes of a body that was not read as a whole is thrown away this long, so that its sender hears the answer."""

MAX_CONNECTIONS = 1_000
"""Each costs some ten KiB; an API server opens as many as it has requests at once."""

BACKLOG = 1024
SHUTDOWN_SECONDS = 10.0
"""What is being answered when the listener closes has this long to end."""

SILENT, TOO_MANY = "silent", "too_many"
CAUSES = (SILENT, TOO_MANY)
"""Why a connection may be cut."""


class Connections(web.Server):
    """A server that cuts connections which say nothing."""

    def __init__(self, answer: Answer, cut: Counter, *, head_seconds: float, max_connections: int) -> None:
        loop = asyncio.get_running_loop()

        def heard(
            message: RawRequestMessage,
            payload: StreamReader,
            connection: RequestHandler,
            writer: AbstractStreamWriter,
            task: "asyncio.Task[None]",
        ) -> web.BaseRequest:
            self._silent.discard(connection)
            return web.BaseRequest(message, payload, connection, writer, task, loop)

        super().__init__(
            answer,
            request_factory=heard,
            access_log=None,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=LINGERING_SECONDS,
            auto_decompress=False,  # no API server compresses, and a small body must stay small
        )
        self._cut = {cause: cut.labels(cause) for cause in CAUSES}
        self._head_seconds = head_seconds
        self._max_connections = max_connections
        self._silent: set[RequestHandler] = set()
        self._open = 0

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """A connection is open, its handshake done."""
        super().connection_made(handler, transport)
        self._open += 1
        self._silent.add(handler)
        if self._open > self._max_connections:
            self._end(handler, TOO_MANY)
        else:
            asyncio.get_running_loop().call_later(self._head_seconds, self._end, handler, SILENT)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """A connection is closed."""
        self._open -= 1
        self._silent.discard(handler)
        super().connection_lost(handler, exc)

    def _end(self, handler: RequestHandler, cause: str) -> None:
        if handler in self._silent:
            self._silent.discard(handler)
            self._cut[cause].inc()
            handler.force_close()


class Listener:
    """A server on one address.

    Attributes:
        address: Where it listens, once it does.
    """

    def __init__(
        self, cut: Counter, *, head_seconds: float = HEAD_SECONDS, max_connections: int = MAX_CONNECTIONS
    ) -> None:
        """Not listening yet.

        Args:
            cut: Counts connections that are cut, by cause.
            head_seconds: See `HEAD_SECONDS`.
            max_connections: See `MAX_CONNECTIONS`.
        """
        self._cut = cut
        self._head_seconds = head_seconds
        self._max_connections = max_connections
        self._connections: Connections | None = None
        self._listening: asyncio.Server | None = None
        self.address = ("", 0)

    async def start(self, answer: Answer, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listens, and has each request answered.

        Raises:
            OSError: The address cannot be used.
        """
        self._connections = Connections(
            answer, self._cut, head_seconds=self._head_seconds, max_connections=self._max_connections
        )
        # Not aiohttp's own TCPSite: that one waits a minute for a handshake.
        self._listening = await asyncio.get_running_loop().create_server(
            self._connections,
            host,
            port,
            ssl=tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=HANDSHAKE_SECONDS if tls else None,
        )
        self.address = self._listening.sockets[0].getsockname()[:2]

    async def stop(self) -> None:
        """Takes no new connection, lets what is being answered end, and closes all."""
        if self._listening is None or self._connections is None:
            return
        self._listening.close()
        await asyncio.sleep(0)  # a connection that was accepted already is known afterwards
        self._connections.pre_shutdown()
        await self._connections.shutdown(SHUTDOWN_SECONDS)


def reachable(address: tuple[str, int]) -> tuple[str, int]:
    """The address under which a listener's own machine reaches it."""
    host, port = address
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 - compared, not listened on
