"""Gateways, tokens and sidecars before them, for the sidecar's tests."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from floe_sidecar import tokens
from floe_sidecar.service import Sidecar
from floe_sidecar.settings import Role
from sidecar.tests.builders import RelayProcess, relay, relay_process

KEY = "an example of a key, long enough"
OTHER_KEY = "another key that is long enough!"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port: int = reserved.getsockname()[1]
        return port


def written(file: Path, text: str) -> Path:
    """The file with the text, swapped in one step as a Secret volume does."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(text)
    fresh.rename(file)
    return file


def bearer(namespace: str = "sales", key: str = KEY) -> str:
    """The header's value for a namespace."""
    return f"Bearer {tokens.issue(key, namespace)}"


def batch(*parcels: tuple[str, float, bytes]) -> bytes:
    """The body of a handover."""
    return msgspec.msgpack.encode(parcels)


@asynccontextmanager
async def gateway(folder: Path, **changes: Any) -> AsyncIterator[Sidecar]:
    """A gateway in this process."""
    keys = written(folder / "keys", KEY)
    async with relay(folder / "gateway", role=Role.GATEWAY, gateway_key_file=keys, **changes) as running:
        yield running


@contextmanager
def gateway_process(folder: Path, **variables: str) -> Iterator[RelayProcess]:
    """A gateway in a process of its own."""
    keys = folder / "keys"
    if not keys.exists():
        written(keys, KEY)
    with relay_process(folder / "gateway", ROLE="gateway", GATEWAY_KEY_FILE=str(keys), **variables) as process:
        yield process


def handing_over_to(folder: Path, port: int, *, namespace: str = "sales", key: str = KEY) -> dict[str, str]:
    """What a sidecar is told about a gateway on this machine."""
    token = written(folder / f"token-of-{namespace}", tokens.issue(key, namespace))
    return {"GATEWAY_URL": f"http://127.0.0.1:{port}", "GATEWAY_TOKEN_FILE": str(token)}
