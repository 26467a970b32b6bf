"""A network that ends at this machine, for suites that run a stranger's code."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@contextmanager
def loopback_only() -> Iterator[list[str]]:
    """Refuses names and addresses beyond the loopback, as a machine without a network does; yields what was tried."""
    tried: list[str] = []
    resolve, connect = socket.getaddrinfo, socket.socket.connect

    def local_names(host: Any, *args: Any, **options: Any) -> Any:
        tried.append(f"{host}")
        if host is not None and _text(host) not in _LOOPBACK:
            raise socket.gaierror(socket.EAI_NONAME, "this suite does not leave the machine")
        return resolve(host, *args, **options)

    def local_addresses(self: socket.socket, address: Any) -> None:
        tried.append(f"{address}")
        if isinstance(address, tuple) and _text(address[0]) not in _LOOPBACK:
            raise ConnectionRefusedError("this suite does not leave the machine")
        connect(self, address)

    with patch.object(socket, "getaddrinfo", local_names), patch.object(socket.socket, "connect", local_addresses):
        yield tried


def _text(host: str | bytes) -> str:
    return host.decode() if isinstance(host, bytes) else host


def closed_port() -> int:
    """A port of the loopback on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
