"""Requests, pages, refusals and timeouts; what the real API server answers is asked end to end."""

import asyncio
import json
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port

from floe_certs.api import RefusedError, UnreachableError
from floe_certs.authority import create_authority
from floe_core.errors import ConfigurationError
from floe_webhook.cluster.api import METADATA_ONLY, PAGE_OBJECTS, Access, TokenFile, in_cluster
from webhook.tests.cluster.api_server import client, stand_in

pytestmark = pytest.mark.requirement("HOUSE-11")

PODS = "/api/v1/pods"
SECRET = "/api/v1/namespaces/sales/secrets/keys"


async def test_a_request_carries_body_types_and_the_token_of_the_moment() -> None:
    tokens = iter(["first", "second"])
    async with stand_in() as server, client(server.url, lambda: next(tokens)) as api:
        server.answers[SECRET] = [(200, {"kind": "Secret"})]
        answer = await api(
            "PATCH",
            SECRET,
            query={"fieldManager": "floe"},
            body={"data": {"a": None}},
            content_type="application/merge-patch+json",
        )
        await api("GET", SECRET, accept=METADATA_ONLY)
    first, second = server.asked
    assert (answer.status, answer.document) == (200, {"kind": "Secret"})
    assert (first.method, first.query, json.loads(first.body)) == (
        "PATCH",
        {"fieldManager": "floe"},
        {"data": {"a": None}},
    )
    assert first.headers["Content-Type"] == "application/merge-patch+json"
    assert first.headers["Accept"] == "application/json"
    assert second.headers["Accept"] == METADATA_ONLY
    assert [one.headers["Authorization"] for one in server.asked] == ["Bearer first", "Bearer second"]


async def test_without_a_token_nothing_is_claimed() -> None:
    async with stand_in() as server, client(server.url) as api:
        await api("GET", PODS)
    assert "Authorization" not in server.asked[0].headers


async def test_an_object_is_read_and_a_missing_one_is_none() -> None:
    async with stand_in() as server, client(server.url) as api:
        server.answers[SECRET] = [(200, {"kind": "Secret"})]
        assert await api.read(SECRET) == {"kind": "Secret"}
        assert await api.read("/api/v1/namespaces/sales/secrets/other") is None


async def test_a_list_comes_page_by_page() -> None:
    pages = [
        (200, {"items": [{"n": 1}, {"n": 2}], "metadata": {"continue": "here"}}),
        (200, {"items": [{"n": 3}], "metadata": {"continue": ""}}),
    ]
    async with stand_in() as server, client(server.url) as api:
        server.answers[PODS] = list(pages)
        found = [list(page) async for page in api.pages(PODS, query={"labelSelector": "a=b"})]
    assert found == [[{"n": 1}, {"n": 2}], [{"n": 3}]]
    assert [one.query for one in server.asked] == [
        {"labelSelector": "a=b", "limit": str(PAGE_OBJECTS)},
        {"labelSelector": "a=b", "limit": str(PAGE_OBJECTS), "continue": "here"},
    ]


async def test_a_list_that_the_server_has_forgotten_ends_early() -> None:
    async with stand_in() as server, client(server.url) as api:
        server.answers[PODS] = [
            (200, {"items": [{"n": 1}], "metadata": {"continue": "old"}}),
            (410, {"kind": "Status", "reason": "Expired"}),
        ]
        assert [list(page) async for page in api.pages(PODS)] == [[{"n": 1}]]


async def test_a_refusal_names_the_path_and_quotes_nothing() -> None:
    async with stand_in() as server, client(server.url) as api:
        server.answers[SECRET] = [(403, {"reason": "Forbidden", "message": "hunter2 is not allowed"})]
        with pytest.raises(RefusedError) as refused:
            await api.read(SECRET)
    assert str(refused.value) == f"GET {SECRET}: 403 Forbidden"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
async def test_what_may_succeed_later_is_no_refusal(status: int) -> None:
    async with stand_in() as server, client(server.url) as api:
        server.answers[PODS] = [(status, {"reason": "Later"})]
        with pytest.raises(UnreachableError, match=str(status)):
            await api.read(PODS)
        with pytest.raises(UnreachableError, match=str(status)):
            [page async for page in api.pages(PODS)]


async def test_an_answer_that_is_no_document_is_empty() -> None:
    async with stand_in() as server, client(server.url) as api:
        server.answers[PODS] = [(200, b"<html>a proxy's page</html>")]
        answer = await api("GET", PODS)
    assert (answer.status, answer.document) == (200, {})


async def test_no_answer_in_time_is_unreachable_and_says_where() -> None:
    async with stand_in() as server, client(server.url, timeout_seconds=30) as api:
        server.silent = True
        with pytest.raises(UnreachableError, match=f"GET {PODS}: no answer in time"):
            await api("GET", PODS, timeout_seconds=0.05)


async def test_nobody_who_listens_is_unreachable() -> None:
    async with client(f"http://127.0.0.1:{unused_port()}") as api:
        with pytest.raises(UnreachableError, match=PODS):
            await api("GET", PODS)


async def test_a_connection_that_is_cut_is_unreachable() -> None:
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(cut, "127.0.0.1", 0, family=socket.AF_INET)
    async with server, client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as api:
        with pytest.raises(UnreachableError, match=PODS):
            await api("GET", PODS)


async def test_a_redirect_is_not_followed_for_it_would_take_the_token_along() -> None:
    async with stand_in() as server, client(server.url, lambda: "a token") as api:
        server.answers[PODS] = [(302, {})]
        assert (await api("GET", PODS)).status == 302


@pytest.mark.requirement("HOUSE-7")
def test_a_token_is_shown_nowhere() -> None:
    access = Access("https://api", tls=True, token=lambda: "hunter2")
    assert "token" not in repr(access)


class TestTokenFile:
    """A bound token, which the kubelet replaces."""

    def test_it_is_read_again_after_a_minute(self, tmp_path: Path) -> None:
        file, now = tmp_path / "token", [0.0]
        file.write_text("first\n")
        token = TokenFile(file, lambda: now[0])
        assert token() == "first"
        file.write_text("second\n")
        now[0] = 59
        assert token() == "first"
        now[0] = 61
        assert token() == "second"

    @pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_bytes(b"\xff")], ids=["gone", "no text"])
    def test_the_last_good_one_stays_until_it_can_be_read(self, tmp_path: Path, spoil: object) -> None:
        assert callable(spoil)
        file, now = tmp_path / "token", [0.0]
        file.write_text("first")
        token = TokenFile(file, lambda: now[0])
        assert token() == "first"
        spoil(file)
        now[0] = 100
        assert token() == "first"
        file.write_text("second")
        assert token() == "second"

    def test_without_one_there_is_none(self, tmp_path: Path) -> None:
        assert TokenFile(tmp_path / "token")() is None


class TestInCluster:
    """The access of a pod with a service account."""

    @pytest.mark.parametrize(
        ("host", "server"), [("10.0.0.1", "https://10.0.0.1:6443"), ("fd00::1", "https://[fd00::1]:6443")]
    )
    def test_it_is_what_kubernetes_mounts(self, tmp_path: Path, host: str, server: str) -> None:
        (tmp_path / "ca.crt").write_bytes(create_authority("cluster", now=datetime.now(UTC)).certificate_pem)
        (tmp_path / "token").write_text("a token")
        access = in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "6443"}, tmp_path)
        assert (access.server, access.token()) == (server, "a token")

    @pytest.mark.parametrize("environment", [{}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}])
    def test_elsewhere_it_is_an_error_that_says_what_to_do(self, tmp_path: Path, environment: dict[str, str]) -> None:
        with pytest.raises(ConfigurationError, match="automountServiceAccountToken"):
            in_cluster(environment, tmp_path)
