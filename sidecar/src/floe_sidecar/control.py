"""Lets `python -m floe_sidecar.queue` change the spool of a running relay: a Unix socket in the spool's folder.

Only who has the folder reaches it, which the application has not; neither port offers anything of the kind.
A request is one line, an `Order` in JSON; the answer is one line, its `Outcome`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from floe_sidecar.logs import log
from floe_sidecar.writer import Writer

if TYPE_CHECKING:
    from floe_sidecar.upkeep import Order, Outcome

SOCKET_NAME = "control"
_PATIENCE_SECONDS = 30.0


class Control:
    """The relay's side."""

    def __init__(
        self,
        writer: Writer,
        telemetry: Writer | None,
        directory: Path,
        *,
        changed: Callable[[Order, Outcome], None],
    ) -> None:
        self._writer = writer
        self._telemetry = telemetry
        self._directory = directory
        self._changed = changed
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def listen(self) -> None:
        """Takes orders; a folder that can hold no socket is told, and nothing else depends on it."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _address(self._directory) as address:
                with suppress(FileNotFoundError):
                    os.unlink(address)  # noqa: PTH108 - through the folder's descriptor; left behind by a killed relay
                listener.bind(address)
                os.chmod(address, 0o600)  # noqa: PTH101 - as above
            self._server = await asyncio.start_unix_server(self._answer, sock=listener)
        except OSError as error:
            listener.close()
            log(logging.WARNING, "the queue cannot be changed while the relay runs", reason=str(error))

    async def close(self) -> None:
        """Takes no more orders."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)
        with suppress(OSError):
            (self._directory / SOCKET_NAME).unlink()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while line := await reader.readline():
                    writer.write(msgspec.json.encode(await self._outcome(line)) + b"\n")
                    await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass  # whoever asked has gone, or says nothing, or says too much
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _outcome(self, line: bytes) -> Outcome:
        from floe_sidecar.upkeep import Order, Outcome, carry_out  # noqa: PLC0415 - few pods ever need it

        try:
            order = msgspec.json.decode(line, type=Order)
        except msgspec.DecodeError as error:
            return Outcome(failure=f"the order cannot be read: {error}")
        writer = self._telemetry if order.telemetry else self._writer
        if writer is None:
            return Outcome(failure="this relay does not relay telemetry")
        unreadable = Outcome(failure="the spool's disk takes nothing now; try again later")
        outcome = await writer.ask(lambda spool: carry_out(spool, order), or_else=unreadable)
        if outcome.done:
            log(logging.INFO, "the queue was changed by hand", order=order.verb, events=outcome.done)
            self._changed(order, outcome)
        return outcome


@contextmanager
def connected(directory: Path) -> Iterator[Callable[[Order], Outcome]]:
    """The command's side: gives orders to the relay that runs on the folder.

    Raises:
        OSError: It does not answer.
    """
    from floe_sidecar.upkeep import Outcome  # noqa: PLC0415 - as above

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_PATIENCE_SECONDS)
        with _address(directory) as address:
            connection.connect(address)
        with connection.makefile("rwb") as stream:

            def give(order: Order) -> Outcome:
                stream.write(msgspec.json.encode(order) + b"\n")
                stream.flush()
                line = stream.readline()
                if not line:
                    raise ConnectionError("the relay ended meanwhile")
                return msgspec.json.decode(line, type=Outcome)

            yield give


@contextmanager
def _address(directory: Path) -> Iterator[str]:
    """The socket's path through a descriptor of its folder: the path of a socket may have 107 bytes only."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)
