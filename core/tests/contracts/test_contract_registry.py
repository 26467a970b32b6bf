"""The client of the monitor's registry, and the hook that follows a deployment."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from floe_core.artifacts import CompiledArtifacts
from floe_core.contract_registry import ContractDiffersError, ContractRegistry, register_after_deploy
from floe_core.errors import ConfigurationError, ConnectionError, FloeError, ValidationError  # noqa: A004 - their names

pytestmark = pytest.mark.requirement("FR-004")
Given = Callable[[httpx.Request], httpx.Response] | httpx.Response | Exception
DONE = {"id": "sales.shop/orders:1.0.0", "created": True, "remarks": ["remarked"]}


def registry(*answers: Given, asked: list[httpx.Request] | None = None) -> ContractRegistry:
    """A registry that answers with these, the last one again and again."""
    waiting = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        given = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(given, Exception):
            raise given
        return given if isinstance(given, httpx.Response) else given(request)

    return ContractRegistry(
        "http://monitor:8080/", "s3cret\n", client=httpx.Client(transport=httpx.MockTransport(answer))
    )


def refused(status: int, **content: Any) -> httpx.Response:
    return httpx.Response(status, json={"code": "x", "what": "Refused.", **content}, headers={"Retry-After": "0"})


def artifacts(*contracts: dict[str, Any]) -> CompiledArtifacts:
    return CompiledArtifacts.model_validate(
        {
            "metadata": {
                "compiled_at": "2026-01-01T00:00:00Z",
                "floe_version": "0.1.0",
                "source_hash": "sha256:0",
                "product_name": "shop",
                "product_version": "1.0.0",
            },
            "identity": {"product_id": "sales.shop", "domain": "sales"},
            "data_contracts": contracts,
        }
    )


def test_a_contract_is_sent_with_the_token_and_its_file() -> None:
    asked: list[httpx.Request] = []
    found = registry(httpx.Response(201, json=DONE), asked=asked).register("id: orders", file="orders.yaml")
    assert (found.id, found.is_new, found.remarks) == ("sales.shop/orders:1.0.0", True, ("remarked",))
    [request] = asked
    assert str(request.url) == "http://monitor:8080/api/v1/contracts?file=orders.yaml"
    assert request.headers["Authorization"] == "Bearer s3cret"
    assert request.content == b"id: orders"


def test_pages_are_followed_to_the_end() -> None:
    def page(request: httpx.Request) -> httpx.Response:
        after = request.url.params.get("after")
        return httpx.Response(200, json={"contracts": [{"id": after or "a"}], "next": None if after == "b" else "b"})

    assert [one["id"] for one in registry(page).listed(active=None)] == ["a", "b"]


def test_an_identity_is_one_address() -> None:
    asked: list[httpx.Request] = []
    client = registry(httpx.Response(200, json={}), asked=asked)
    client.show("sales.shop/orders:1.0.0")
    client.history("sales.shop/orders:1.0.0")
    client.run_check("sales.shop/orders:1.0.0", "freshness")
    client.unregister("a b.c/d?:1")
    assert [request.url.raw_path.decode().removeprefix("/api/v1/contracts") for request in asked] == [
        "/sales.shop/orders:1.0.0",
        "/sales.shop/orders:1.0.0/history",
        "/sales.shop/orders:1.0.0/checks/freshness/run",
        "/a%20b.c/d%3F:1",
    ]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (refused(401), ConfigurationError, "Refused."),
        (refused(409, code="contract_differs", remedy="Raise it."), ContractDiffersError, "Raise it."),
        (refused(422, problems=[{"what": "Bad.", "file": "o.yaml", "line": 3}]), ValidationError, "o.yaml:3: Bad."),
        (refused(503), ConnectionError, "Refused."),
        (httpx.Response(404, text="<html>"), FloeError, "No monitor of contracts answers there"),
        (httpx.Response(200, text="<html>"), FloeError, "No monitor of contracts answers there"),
        (httpx.ConnectError("no"), ConnectionError, "cannot be reached: ConnectError"),
        (httpx.LocalProtocolError("s3cret"), ConfigurationError, "check the token"),
    ],
)
def test_what_goes_wrong_is_told_in_a_sentence_without_the_token(
    answer: httpx.Response | Exception, error: type[FloeError], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    with pytest.raises(error) as caught:
        registry(answer).register("id: orders")
    assert says in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_monitor_that_is_restarting_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    answers = (httpx.ConnectError("no"), refused(503), httpx.Response(200, json=DONE))
    assert registry(*answers).register("id: orders").id == "sales.shop/orders:1.0.0"


def test_after_a_deployment_every_contract_is_registered_and_a_refused_one_stops_nothing() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        contract = json.loads(request.content)
        if contract["id"] == "bad":
            return refused(422, problems=[{"what": "Bad.", "file": request.url.params["file"], "line": 1}])
        return httpx.Response(201, json={**DONE, "id": contract["id"]})

    found = register_after_deploy(artifacts({"id": "one"}, {"id": "bad"}, {"id": "two"}), registry(answer))
    assert [one.id for one in found.registered] == ["one", "two"]
    assert found.failures == (("bad", "data_contracts[1]:1: Bad."),)


def test_a_product_without_contracts_asks_nobody() -> None:
    asked: list[httpx.Request] = []
    assert register_after_deploy(artifacts(), registry(refused(500), asked=asked)).registered == ()
    assert asked == []
