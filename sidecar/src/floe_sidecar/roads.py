"""How a host is reached: directly or over a proxy, in plain or with TLS.

| URL | over a proxy |
|---|---|
| `https://…` | `CONNECT host:port`, and TLS with the host itself inside the tunnel: the proxy sees no event |
| `http://…` | the whole URL in the request line (RFC 9112 3.2.2): the proxy sees everything |

Names are resolved on a daemon thread, so that a name server that does not answer never holds up the end of the process.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import httptools

from floe_sidecar.certificates import Certificates
from floe_sidecar.credentials import SecretFile
from floe_sidecar.proxies import Proxy, authorization

if TYPE_CHECKING:
    import ssl

_HTTPS_PORT = 443
_HTTP_PORT = 80
_OK = 200

_ConnectionT = TypeVar("_ConnectionT", bound=asyncio.Protocol)


class Road:
    """The way to one origin. `certificates` is None for plain HTTP, `proxy` where there is none between."""

    def __init__(
        self,
        url: str,
        *,
        certificates: Certificates | None = None,
        proxy: Proxy | None = None,
        proxy_user: SecretFile | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (_HTTPS_PORT if parts.scheme == "https" else _HTTP_PORT)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._certificates = certificates
        self._proxy = proxy
        self._proxy_user = proxy_user

    def was_renewed(self) -> bool:
        """Whether connections that were made before have an older certificate than new ones would."""
        return self._certificates is not None and self._certificates.look()

    def request(self, head: bytes) -> bytes:
        """The head of a request as it is sent on this road; given is one that begins with `POST /path`."""
        if self._proxy is None or self._certificates is not None:
            return head
        line, rest = head.split(b"\r\n", 1)
        method, target = line.split(b" ", 1)
        return b"%b %b%b\r\n%b%b" % (method, self._origin.encode(), target, self._authorization(), rest)

    async def open(self, make: Callable[[], _ConnectionT]) -> _ConnectionT:
        """A new connection.

        Raises:
            OSError: There is none to be had now.
        """
        tls = self._certificates.context() if self._certificates is not None else None
        if self._proxy is None:
            return await _connect(self._host, self._port, make, tls=tls)
        if tls is None:
            return await _connect(self._proxy.host, self._proxy.port, make)
        tunnel = await _connect(self._proxy.host, self._proxy.port, _Tunnel)
        try:
            await tunnel.ask(self._host, self._port, self._authorization())
            connection = make()
            transport = await asyncio.get_running_loop().start_tls(
                tunnel.transport, connection, tls, server_hostname=self._host
            )
        except BaseException:
            tunnel.transport.abort()
            raise
        if transport is None:
            raise ConnectionError("the proxy closed the tunnel")
        connection.connection_made(transport)
        return connection

    def _authorization(self) -> bytes:
        user = self._proxy_user.current() if self._proxy_user is not None else ""
        return authorization(user or (self._proxy.user if self._proxy is not None else "")).encode("latin-1")


class _Tunnel(asyncio.Protocol):
    """A connection to a proxy until it leads to somebody else. The callbacks named `on_…` are httptools'."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def ask(self, host: str, port: int, authorization_line: bytes) -> None:
        """Returns when what is sent goes to the host.

        Raises:
            OSError: The proxy does not open the tunnel.
        """
        name = f"[{host}]" if ":" in host else host
        target = f"{name}:{port}".encode()
        self.transport.write(
            b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: floe-sidecar\r\n%b\r\n"
            % (target, target, authorization_line)
        )
        await self._opened

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The proxy is there."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_connection gives
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Reads the proxy's answer; behind it nothing comes before we begin TLS."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # how the parser says that no HTTP follows
        except httptools.HttpParserError:
            self._end(ConnectionError("the proxy does not speak HTTP/1.1"))

    def on_headers_complete(self) -> None:
        """RFC 9110 9.3.6: the tunnel begins behind the headers of any 2xx; an answer to CONNECT has no body then."""
        status = self._parser.get_status_code()
        if _OK <= status < _OK + 100:
            self._end(None)
        elif status >= _OK:
            self._end(ConnectionError(f"the proxy answered {status} to CONNECT"))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The proxy has gone."""
        self._end(ConnectionError("the proxy closed the connection"))

    def _end(self, error: OSError | None) -> None:
        if self._opened.done():
            return
        if error is None:
            self._opened.set_result(None)
        else:
            self._opened.set_exception(error)
            self._opened.exception()  # whoever waits gets it all the same


async def _connect(
    host: str, port: int, make: Callable[[], _ConnectionT], *, tls: ssl.SSLContext | None = None
) -> _ConnectionT:
    problem: OSError = OSError("the name has no address")
    for address in await _resolve(host, port):
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                make, address, port, ssl=tls, server_hostname=host if tls is not None else None
            )
        except OSError as error:
            problem = error
        else:
            return connection
    raise problem


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
