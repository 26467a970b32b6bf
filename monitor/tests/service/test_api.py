"""The registry's API, over HTTP and on a real PostgreSQL; every answer is held against the OpenAPI document."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import jsonschema_rs
import pytest
from aiohttp import web
from openapi_spec_validator import validate
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.errors import ValidationError
from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.contracts.model import Contract
from floe_monitor.contracts.reading import parse_contract
from floe_monitor.service.api import ContractApi
from floe_monitor.service.bearer import BearerTokens
from floe_monitor.service.openapi import openapi_document
from floe_monitor.service.registry import Registry
from floe_monitor.service.roster import WatchedElsewhereError
from floe_monitor.service.web import serving
from floe_monitor.store.database import open_engine
from floe_monitor.store.leases import Known, hold
from floe_monitor.store.records import CheckRun
from floe_monitor.store.results import record, register
from monitor.tests.builders import HOUR, check_run, outcome

pytestmark = pytest.mark.requirement("FR-004", "FR-045")
TOKEN = "s3cret-token"
OPENAPI = openapi_document("1.2.3")
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: {version}
status: active
domain: sales
dataProduct: shop
schema: [{{name: orders, properties: [{{name: id, logicalType: integer}}]}}]
slaProperties: [{{property: freshness, value: {age}}}]
"""


def text(name: str = "orders", version: str = "1.0.0", age: str = "PT6H") -> str:
    return CONTRACT.format(name=name, version=version, age=age)


class Client:
    """Calls the API and holds each answer against its document."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def __call__(self, method: str, path: str = "", *, token: str | None = TOKEN, **given: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        headers |= given.pop("headers", {})
        if "content" in given:
            headers.setdefault("Content-Type", "application/yaml")
        answer = await self._http.request(method, f"/api/v1/contracts{path}", headers=headers, **given)
        _hold_against_the_document(method, path, answer)
        return answer

    async def register(self, contract: str, **params: str) -> httpx.Response:
        return await self("POST", content=contract, params=params)


def _hold_against_the_document(method: str, path: str, answer: httpx.Response) -> None:
    parts = path.strip("/").split("/") if path else []
    template = "/api/v1/contracts" + "".join(("", "/{product}", "/{contract}")[: 1 + min(2, len(parts))])
    if len(parts) > 1 and ":" in parts[1]:
        template += ":{version}"
    if len(parts) > 2:
        template += "/history" if parts[2] == "history" else "/checks/{check}/run"
    told = OPENAPI["paths"][template][method.lower()]["responses"][str(answer.status_code)]
    if "content" in told:
        schema = {**told["content"]["application/json"]["schema"], "components": OPENAPI["components"]}
        jsonschema_rs.Draft202012Validator(schema).validate(answer.json())
    else:
        assert answer.content == b""


@asynccontextmanager
async def serving_api(
    engine: AsyncEngine, token_file: Path, *, directory: tuple[Contract, ...] = (), runs: Any = None
) -> AsyncIterator[Client]:
    registry = Registry(engine, None, directory, frozenset({"pager"}))
    app = web.Application()
    ContractApi(engine, registry, BearerTokens(token_file), runs, OPENAPI).add_to(app)
    async with serving(app, "127.0.0.1", 0) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        yield Client(http)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def write(file: Path, content: bytes | None) -> None:
    """Replaces a file; without content there is none."""
    file.unlink()
    if content is not None:
        file.write_bytes(content)


@pytest.fixture
async def api(engine: AsyncEngine, token_file: Path) -> AsyncIterator[Client]:
    async with serving_api(engine, token_file) as client:
        yield client


@pytest.fixture
async def closed_api(token_file: Path) -> AsyncIterator[Client]:
    """An API whose database is away."""
    engine = open_engine("postgresql://floe@127.0.0.1:1/none")
    async with serving_api(engine, token_file) as client:
        yield client
    await engine.dispose()


async def test_a_contract_is_registered_once_listed_and_shown(api: Client) -> None:
    first = await api.register(text())
    assert (first.status_code, first.json()["id"]) == (201, "sales.shop/orders:1.0.0")
    assert first.headers["Location"] == "/api/v1/contracts/sales.shop/orders:1.0.0"
    again = await api.register(text())
    assert (again.status_code, again.json()["created"]) == (200, False)
    [listed] = (await api("GET")).json()["contracts"]
    assert (listed["id"], listed["origin"], listed["active"]) == ("sales.shop/orders:1.0.0", "api", True)
    shown = (await api("GET", "/sales.shop/orders:1.0.0")).json()
    assert shown["document"]["id"] == "orders"


async def test_json_is_yaml_and_both_are_taken(api: Client) -> None:
    document = '{"apiVersion": "v3.1.0", "kind": "DataContract", "id": "o", "version": "1", "status": "active"}'
    for content_type, status in (("application/json", 201), ("text/yaml; charset=utf-8", 200)):
        answer = await api("POST", content=document, headers={"Content-Type": content_type})
        assert (answer.status_code, answer.json()["id"]) == (status, "default.default/o:1")


async def test_a_registered_version_never_changes_and_the_refusal_names_what_would_have(api: Client) -> None:
    await api.register(text())
    refused = await api.register(text(age="PT12H"))
    assert refused.status_code == 409
    assert refused.json()["differences"] == [{"level": "major", "path": "freshness of orders", "what": "was relaxed"}]
    assert "another `version`" in refused.json()["remedy"]
    assert (await api.register(text(age="PT12H", version="2.0.0"))).status_code == 201
    versions = (await api("GET", "/sales.shop/orders")).json()["contracts"]
    assert {known["version"] for known in versions} == {"1.0.0", "2.0.0"}


async def test_a_wrong_contract_is_refused_with_file_line_and_field(api: Client) -> None:
    refused = await api.register(text(age="soon"), file="contracts/orders.yaml")
    assert refused.status_code == 422
    [problem] = refused.json()["problems"]
    assert (problem["file"], problem["line"], problem["path"]) == ("contracts/orders.yaml", 9, "slaProperties[0].value")
    assert "soon" in problem["what"]


async def test_a_contract_that_would_alert_an_unknown_channel_is_refused(api: Client) -> None:
    rules = "customProperties: [{property: monitoring, value: {alerts: {routing_rules: [{channel_name: CHANNEL}]}}}]\n"
    refused = await api.register(text() + rules.replace("CHANNEL", "nobody"))
    assert (refused.status_code, "known: pager" in refused.json()["what"]) == (422, True)
    assert (await api.register(text() + rules.replace("CHANNEL", "pager"))).status_code == 201


async def test_unregistering_keeps_the_history(api: Client, engine: AsyncEngine) -> None:
    await api.register(text())
    watched = parse_contract(text(), file="orders")
    await record(engine, [check_run(outcome("error"), of=watched)])
    assert (await api("DELETE", "/sales.shop/orders:1.0.0")).status_code == 204
    assert (await api("DELETE", "/sales.shop/orders:1.0.0")).status_code == 404
    assert (await api("GET")).json()["contracts"] == []
    [gone] = (await api("GET", params={"active": "all"})).json()["contracts"]
    assert (gone["active"], gone["unregistered_at"] is None) == (False, False)
    history = (await api("GET", "/sales.shop/orders:1.0.0/history")).json()
    assert [event["kind"] for event in history["events"]] == ["unregistered", "registered"]
    assert [(episode["severity"], episode["closed_at"]) for episode in history["episodes"]] == [("error", None)]
    assert [(run["check"], run["status"]) for run in history["runs"]] == [("freshness", "fail")]
    shown = (await api("GET", "/sales.shop/orders:1.0.0")).json()
    assert [(promise["check"], promise["status"]) for promise in shown["promises"]] == [("freshness", "fail")]


async def test_what_a_file_holds_the_api_neither_changes_nor_takes_away(engine: AsyncEngine, token_file: Path) -> None:
    held = parse_contract(text(), file="orders.yaml")
    await register(engine, [held], check_run().checked_at)
    async with serving_api(engine, token_file, directory=(held,)) as api:
        assert (await api.register(text())).status_code == 200
        refused = await api.register(text(age="PT1H"))
        assert (refused.status_code, "directory holds it" in refused.json()["remedy"]) == (409, True)
        assert (await api("DELETE", "/sales.shop/orders:1.0.0")).status_code == 409
        assert [known["origin"] for known in (await api("GET")).json()["contracts"]] == ["directory"]


async def test_a_contract_that_is_a_file_too_is_watched_on_when_it_is_unregistered(
    engine: AsyncEngine, token_file: Path
) -> None:
    held = parse_contract(text(), file="orders.yaml")
    async with serving_api(engine, token_file) as api:
        assert (await api.register(text())).status_code == 201
    async with serving_api(engine, token_file, directory=(held,)) as api:
        assert (await api("DELETE", "/sales.shop/orders:1.0.0")).status_code == 204
        await hold(engine, uuid4(), HOUR, Known.of([held.id]))
        [known] = (await api("GET")).json()["contracts"]
    assert known["active"]


async def test_contracts_are_listed_page_by_page(api: Client) -> None:
    for number in range(5):
        await api.register(text(name=f"o{number}"))
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await api("GET", params={"limit": "2", **after})).json()
        found += [known["id"] for known in page["contracts"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert found == [f"sales.shop/o{number}:1.0.0" for number in range(5)]


async def test_a_page_that_cannot_be_understood_is_refused(closed_api: Client) -> None:
    for params in ({"active": "x"}, {"after": "x"}, *({"limit": text} for text in ("0", "501", "-1", "", "00100999"))):
        assert (await closed_api("GET", params=params)).status_code == 422


async def test_what_nobody_registered_is_not_found(api: Client) -> None:
    for path in ("/sales.shop/nothing", "/sales.shop/nothing:1", "/nothing/orders:1", "/sales.shop/nothing:1/history"):
        assert (await api("GET", path)).status_code == 404


@pytest.mark.parametrize("token", [None, "wrong", TOKEN + "x", TOKEN[:-1], "s3cret-tök", "\udcff", f"{TOKEN} {TOKEN}"])
async def test_without_the_token_nothing_is_answered(closed_api: Client, token: str | None) -> None:
    headers = {"Authorization": f"Bearer {token}".encode(errors="surrogateescape")} if token else {}
    for method, path in (("GET", ""), ("POST", ""), ("DELETE", "/sales.shop/orders:1.0.0")):
        answer = await closed_api(method, path, token=None, headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"][:6]) == (401, "Bearer")


async def test_a_rotated_token_holds_from_the_next_request_on(api: Client, token_file: Path) -> None:
    write(token_file, f"{TOKEN}\nnew\n".encode())
    assert [(await api("GET", token=token)).status_code for token in (TOKEN, "new")] == [200, 200]
    write(token_file, b"new\n")
    assert [(await api("GET", token=token)).status_code for token in (TOKEN, "new")] == [401, 200]


@pytest.mark.parametrize("content", [None, b"", b"\n \n", b"\xff"])
async def test_without_a_token_to_compare_with_nobody_is_let_in(
    closed_api: Client, token_file: Path, content: bytes | None
) -> None:
    write(token_file, content)
    assert [(await closed_api("GET", token=token)).json()["code"] for token in (TOKEN, None)] == ["no_token"] * 2


async def test_a_body_that_is_no_contract_is_refused_by_its_type_its_size_or_its_bytes(api: Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await api("POST", content=text(), headers=form)).status_code == 415
    assert (await api("POST", content="x" * (1024 * 1024 + 1))).status_code == 413
    assert (await api("POST", content=b"\xff\xfe")).status_code == 422
    assert (await api("POST", content="")).status_code == 422


async def test_while_the_database_is_away_the_api_says_so(closed_api: Client) -> None:
    answer = await closed_api("GET")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


async def test_a_check_is_run_when_it_is_asked_for(engine: AsyncEngine, token_file: Path) -> None:
    async def run_now(contract: str, check: ViolationType) -> CheckRun:
        if check is ViolationType.QUALITY:
            raise ValidationError("It promises nothing.")
        if check is ViolationType.AVAILABILITY:
            raise WatchedElsewhereError(f"Another replica watches {contract}.")
        return check_run(outcome("error"))

    async with serving_api(engine, token_file, runs=run_now) as api:
        await api.register(text())
        path = "/sales.shop/orders:1.0.0/checks/{}/run"
        ran = await api("POST", path.format("freshness"))
        assert (ran.status_code, ran.json()["status"]) == (200, "fail")
        assert ran.json()["promises"] == [
            {"element": "orders.updated_at", "status": "fail", "message": "orders is stale"}
        ]
        expected = {"quality": 422, "availability": 503, "weather": 404}
        assert {check: (await api("POST", path.format(check))).status_code for check in expected} == expected
        assert (await api("POST", f"/sales.shop/{uuid4()}:1/checks/freshness/run")).status_code == 404


async def test_the_document_is_served_to_everybody_and_is_valid(engine: AsyncEngine, token_file: Path) -> None:
    async with serving_api(engine, token_file) as api:
        served = await api._http.get("/api/v1/openapi.json")
    assert served.json() == OPENAPI
    validate(OPENAPI)


def test_the_document_says_what_each_request_needs() -> None:
    assert OPENAPI["info"]["version"] == "1.2.3"
    assert OPENAPI["security"] == [{"bearer": []}]
    operations = [operation for path in OPENAPI["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations) == 7
    assert all({"401", "503"} <= operation["responses"].keys() for operation in operations)
