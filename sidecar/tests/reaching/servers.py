"""Servers to be reached: a lineage backend behind TLS, and an HTTP proxy with tunnels (RFC 9110 9.3.6).

The proxy is a real one as far as it goes: it connects to where the request says, passes bytes both ways, and asks for a
user if it is told to.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import trustme

from sidecar.tests.standins import BackendStandIn


@asynccontextmanager
async def behind_tls(
    backend: BackendStandIn, authority: trustme.CA, *, clients: trustme.CA | None = None, name: str = "localhost"
) -> AsyncIterator[str]:
    """The backend's https origin; it asks for a client certificate of `clients` if there is such an authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    if clients is not None:
        clients.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.start_server(backend.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://{name}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def write_client(authority: trustme.CA, folder: Path) -> None:
    """A new client certificate and its key, as a Secret of the type kubernetes.io/tls is mounted."""
    leaf = authority.issue_cert("client.example")
    leaf.private_key_pem.write_to_path(folder / "tls.key")
    leaf.cert_chain_pems[0].write_to_path(folder / "tls.crt")


class ProxyStandIn:
    """A proxy on 127.0.0.1."""

    def __init__(self, *, user: str = "") -> None:
        self.user = user
        self.lines: list[str] = []
        self.passed = b""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Its address as the variables hold it."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> ProxyStandIn:
        """Listens."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def stop(self) -> None:
        """Listens no more and ends what it passes on."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._exchange(reader, writer)
        writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.split("\r\n")
        self.lines.append(line)
        asked = f"Proxy-Authorization: Basic {b64encode(self.user.encode()).decode()}"
        if self.user and asked not in fields:
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                b'Proxy-Authenticate: Basic realm="p"\r\nContent-Length: 0\r\n\r\n'
            )
            return
        method, target, _ = line.split(" ")
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        # Every name is this machine: what the test gives a name to is found here.
        backend_reader, backend_writer = await asyncio.open_connection("127.0.0.1", parts.port or 80)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            kept = [field for field in fields if not field.lower().startswith("proxy-")]
            backend_writer.write("\r\n".join([f"{method} {parts.path} HTTP/1.1", *kept]).encode("latin-1"))
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(reader, backend_writer))
                both.create_task(self._pass(backend_reader, writer))
        finally:
            backend_writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65536):
            self.passed += chunk
            writer.write(chunk)
            await writer.drain()
        writer.close()
