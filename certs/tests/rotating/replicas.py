"""Replicas of a webhook over one API server in memory, each with a real TLS listener where a test asks for one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from certs.tests.api_server import OBJECTS, InMemoryApi
from certs.tests.builders import Clock, Noted
from floe_certs.kubernetes import ClusterApi
from floe_certs.rotation import Rotation
from floe_certs.serving import ServingContext
from floe_certs.settings import CertificateSettings

NOWHERE = ("127.0.0.1", 9)
"""An address where nobody listens: for tests that do not look at readiness."""


@dataclass(slots=True)
class Replica:
    rotation: Rotation
    serving: ServingContext
    noted: Noted
    leading: list[bool] = field(default_factory=lambda: [True])

    def lead(self, *, leads: bool) -> None:
        self.leading[0] = leads


def replica(
    server: InMemoryApi, settings: CertificateSettings, clock: Clock, *, leads: bool = True, port: int | None = None
) -> Replica:
    api, serving, noted, leading = ClusterApi(server.request, OBJECTS), ServingContext(), Noted(), [leads]
    rotation = Rotation(
        settings,
        secrets=api,
        trust=api,
        serving=serving,
        address=lambda: NOWHERE if port is None else ("127.0.0.1", port),
        leads=lambda: leading[0],
        observer=noted,
        now=clock.now,
        monotonic=clock.monotonic,
    )
    return Replica(rotation, serving, noted, leading)


@asynccontextmanager
async def listening(
    server: InMemoryApi, settings: CertificateSettings, clock: Clock, *, leads: bool = True
) -> AsyncIterator[Replica]:
    """A replica with a listener of its own."""
    port = [0]
    one = replica(server, settings, clock, leads=leads)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
            writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=one.serving.context)
    port[0] = listener.sockets[0].getsockname()[1]
    again = replica(server, settings, clock, leads=leads, port=port[0])
    again.serving.context = one.serving.context
    async with listener:
        yield again
