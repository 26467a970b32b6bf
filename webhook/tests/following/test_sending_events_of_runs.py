"""The sender's promises: in order, until taken, under the key of the bytes; and where progress is kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from floe_certs.api import UnreachableError
from floe_webhook.cluster.lineage_sender import POISON_ATTEMPTS, LineageSender, Outcome
from floe_webhook.cluster.ownership import OwnedCreation
from floe_webhook.cluster.progress import ConfigMapProgress
from webhook.tests.following.cluster import cluster

pytestmark = pytest.mark.requirement("HOUSE-5", "RELAY-4")


@dataclass(slots=True)
class Backend:
    """Answers what it is told, then 201.

    Attributes:
        url: Its origin; None to have no such backend.
        answers: Status and Retry-After.
        slept: What the sender waited.
        comes_back_at: Its origin after the sender has waited.
    """

    url: str | None = None
    answers: list[tuple[int, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    comes_back_at: str | None = None
    retries: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.keys.append(request.headers["Idempotency-Key"])
        self.tokens.append(request.headers.get("Authorization", ""))
        status, retry_after = self.answers.pop(0) if self.answers else (201, "")
        return web.Response(status=status, headers={"Retry-After": retry_after} if retry_after else {})

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.url = self.comes_back_at or self.url

    def retried(self) -> None:
        self.retries += 1


@asynccontextmanager
async def sending(backend: Backend, token_file: Path | None = None) -> AsyncIterator[LineageSender]:
    application = web.Application()
    application.router.add_post("/api/v1/lineage", backend.answer)
    async with TestServer(application) as server, aiohttp.ClientSession() as session:
        backend.url = str(server.make_url(""))
        yield LineageSender(
            session,
            lambda: backend.url,
            token_file=token_file,
            retried=backend.retried,
            sleep=backend.sleep,
            uniform=lambda _, most: most,
        )


async def test_events_arrive_in_their_order() -> None:
    backend = Backend()
    async with sending(backend) as sender:
        assert await sender.send([b"1", b"2", b"3"]) is Outcome.SENT

    assert backend.bodies == [b"1", b"2", b"3"]


@pytest.mark.requirement("RELAY-8")
async def test_what_cannot_be_taken_now_is_sent_again_later_under_the_same_key() -> None:
    backend = Backend(answers=[(503, ""), (429, "7"), (401, ""), (500, "")])
    async with sending(backend) as sender:
        assert await sender.send([b"1", b"2"]) is Outcome.SENT

    assert backend.bodies == [b"1"] * 5 + [b"2"]
    assert len(set(backend.keys)) == 2
    assert backend.slept == [0.5, 7.0, 2.0, 4.0]
    assert backend.retries == 4


async def test_a_retry_after_is_believed_within_bounds() -> None:
    backend = Backend(answers=[(503, "999999"), (503, "Fri, 21 Nov 2036 10:00:00 GMT")])
    async with sending(backend) as sender:
        await sender.send([b"1"])

    assert backend.slept == [300.0, 1.0]


async def test_what_is_refused_for_good_does_not_hold_up_the_rest() -> None:
    backend = Backend(answers=[(400, "")])
    async with sending(backend) as sender:
        assert await sender.send([b"1", b"2"]) is Outcome.REFUSED

    assert backend.bodies == [b"1", b"2"]


async def test_an_event_that_the_receiver_fails_at_is_given_up_after_many_attempts() -> None:
    backend = Backend(answers=[(503, "")] * 40 + [(500, "")] * POISON_ATTEMPTS)
    async with sending(backend) as sender:
        assert await sender.send([b"1", b"2"]) is Outcome.REFUSED

    assert backend.bodies == [b"1"] * (40 + POISON_ATTEMPTS) + [b"2"]


async def test_a_backend_that_is_not_there_is_tried_again() -> None:
    backend = Backend()
    async with sending(backend) as sender:
        backend.comes_back_at, backend.url = backend.url, "http://127.0.0.1:9"
        assert await sender.send([b"1"]) is Outcome.SENT

    assert backend.retries == 1


async def test_without_an_address_nothing_waits() -> None:
    backend = Backend()
    async with sending(backend) as sender:
        backend.url = None
        assert await sender.send([b"1"]) is Outcome.NOWHERE

    assert backend.bodies == []


async def test_a_renewed_token_is_used_at_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old\n")
    backend = Backend()
    async with sending(backend, token) as sender:
        await sender.send([b"1"])
        token.write_text("new\n")
        await sender.send([b"2"])
        token.unlink()
        await sender.send([b"3"])

    assert backend.tokens == ["Bearer old", "Bearer new", ""]


@pytest.mark.requirement("HOUSE-11", "FP-23")
async def test_progress_is_kept_in_a_config_map_that_belongs_to_the_release() -> None:
    async with cluster() as (server, api):
        server.put("/apis/apps/v1/namespaces/floe-system/deployments/webhook", {"metadata": {"name": "w", "uid": "u"}})
        owned = OwnedCreation(api, api, "floe-system", "webhook")
        progress = ConfigMapProgress(owned, "floe-system", "progress")

        assert await progress.read() == ""
        await progress.write("7")
        await progress.write("8")

        assert await progress.read() == "8"
        stored = server.objects["/api/v1/namespaces/floe-system/configmaps/progress"]
        assert stored["metadata"]["ownerReferences"][0]["uid"] == "u"


async def test_progress_that_cannot_be_kept_stops_nothing_and_an_unknown_one_is_not_guessed() -> None:
    async with cluster() as (server, api):
        progress = ConfigMapProgress(api, "floe-system", "progress")
        server.forbidden |= {"/configmaps", "/progress"}
        await progress.write("7")
        assert await progress.read() == ""
        server.broken = True
        await progress.write("7")

        with pytest.raises(UnreachableError):
            await progress.read()
