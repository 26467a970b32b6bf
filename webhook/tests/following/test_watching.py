"""Watches of `KubernetesApi`: lines of any length in pieces of any length, refusals and breaks."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from floe_certs.api import RefusedError, UnreachableError
from floe_webhook.cluster.api import Access, KubernetesApi

pytestmark = pytest.mark.requirement("FP-22", "FP-27")

LARGE = {"type": "ADDED", "object": {"metadata": {"annotations": {"a": "x" * 1_500_000}}}}
SMALL = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}


@asynccontextmanager
async def watched(pieces: Sequence[bytes], *, status: int = 200, breaks: bool = False) -> AsyncIterator[KubernetesApi]:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.query["watch"] == "true"
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if breaks and request.transport is not None:
            request.transport.abort()
        return response

    application = web.Application()
    application.router.add_get("/api/v1/pods", answer)
    async with TestServer(application) as server, aiohttp.ClientSession() as session:
        yield KubernetesApi(session, Access(str(server.make_url("")).rstrip("/"), tls=False))


async def test_events_come_one_by_one_however_they_are_cut() -> None:
    text = b"".join(json.dumps(event).encode() + b"\n" for event in (SMALL, LARGE, SMALL, SMALL))
    pieces = [text[at : at + 333_333] for at in range(0, len(text), 333_333)]
    async with watched(pieces) as api:
        found = [event async for event in api.watch("/api/v1/pods", query={})]

    assert found == [SMALL, LARGE, SMALL, SMALL]


@pytest.mark.parametrize(("status", "error"), [(403, RefusedError), (410, RefusedError), (503, UnreachableError)])
async def test_a_refusal_is_told(status: int, error: type[Exception]) -> None:
    async with watched([b"{}"], status=status) as api:
        with pytest.raises(error, match=str(status)):
            await anext(aiter(api.watch("/api/v1/pods", query={})))


async def test_a_break_is_told_after_what_came() -> None:
    async with watched([json.dumps(SMALL).encode() + b"\n"], breaks=True) as api:
        watch = aiter(api.watch("/api/v1/pods", query={}))
        assert await anext(watch) == SMALL
        with pytest.raises(UnreachableError):
            await anext(watch)
