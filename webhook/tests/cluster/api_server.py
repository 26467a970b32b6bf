"""An API server on the loopback address that answers what a test tells it, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from floe_webhook.cluster.api import Access, KubernetesApi


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class StandIn:
    """What it answers: the answers of a path in turn, the last one for ever; 404 where it has none.

    Attributes:
        url: Its origin.
        answers: By path: status and document, or bytes that are no document.
        chosen: By path: makes the answer of what is asked; goes before `answers`.
        silent: Whether it takes requests and never answers.
    """

    url: str = ""
    answers: dict[str, list[tuple[int, Mapping[str, Any] | bytes]]] = field(default_factory=dict)
    chosen: dict[str, Callable[[Asked], tuple[int, Mapping[str, Any]]]] = field(default_factory=dict)
    silent: bool = False
    asked: list[Asked] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(
            Asked(request.method, request.path, dict(request.query), request.headers, await request.read())
        )
        if self.silent:
            await asyncio.Event().wait()
        if request.path in self.chosen:
            status, chosen = self.chosen[request.path](self.asked[-1])
            return web.json_response(chosen, status=status)
        answers = self.answers.get(request.path, [(404, {"kind": "Status", "reason": "NotFound"})])
        status, document = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(document, bytes):
            return web.Response(body=document, status=status)
        return web.json_response(document, status=status)


@asynccontextmanager
async def stand_in() -> AsyncIterator[StandIn]:
    """A server that listens; without TLS."""
    server = StandIn()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.answer)
    async with TestServer(application, shutdown_timeout=0.1) as listening:
        server.url = str(listening.make_url("")).rstrip("/")
        yield server


@asynccontextmanager
async def client(
    server: str, token: Callable[[], str | None] = lambda: None, **settings: float
) -> AsyncIterator[KubernetesApi]:
    """A client of it."""
    async with aiohttp.ClientSession() as session:
        yield KubernetesApi(session, Access(server, tls=False, token=token), **settings)
