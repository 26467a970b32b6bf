"""What a Service does with connections: each new one goes to one of those that are ready, and stays there."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import httpx

_PROBE_SECONDS = 0.05


class Replica(Protocol):
    """One that may be ready."""

    @property
    def port(self) -> int:
        """Where admissions go."""
        ...

    @property
    def health_port(self) -> int:
        """Where it is probed."""
        ...


class Switch:
    """Takes connections on `port` and hands them on.

    Attributes:
        replicas: All of them, ready or not; may be changed at any time.
        ready: The ports that new connections go to, as of the last probe.
    """

    def __init__(self) -> None:
        self.port = 0
        self.replicas: list[Replica] = []
        self.ready: Sequence[int] = ()
        self._turns = itertools.count()

    async def probe(self, http: httpx.AsyncClient) -> None:
        """As the kubelet probes, and as endpoints follow."""
        while True:
            probed = list(self.replicas)
            answers = await asyncio.gather(*(self._is_ready(http, replica.health_port) for replica in probed))
            is_ready = [one for one, answer in zip(probed, answers, strict=True) if answer]
            self.ready = [one.port for one in is_ready if one in self.replicas]  # it may be gone meanwhile
            await asyncio.sleep(_PROBE_SECONDS)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, both ways, until either side ends it."""
        ready = self.ready
        try:
            port = ready[next(self._turns) % len(ready)]
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, ZeroDivisionError):
            writer.transport.abort()
            return
        await asyncio.gather(_pump(reader, onward), _pump(onward_reader, writer))

    @staticmethod
    async def _is_ready(http: httpx.AsyncClient, port: int) -> bool:
        try:
            return (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success
        except httpx.TransportError:
            return False


@asynccontextmanager
async def switch(*replicas: Replica) -> AsyncIterator[Switch]:
    """A switch that takes connections."""
    made = Switch()
    made.replicas = list(replicas)
    async with httpx.AsyncClient(trust_env=False) as http:
        server = await asyncio.start_server(made.connect, "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        probing = asyncio.create_task(made.probe(http))
        try:
            yield made
        finally:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
            server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()
        await writer.wait_closed()
