"""How the plugin `rest` takes what a real catalog does rarely.

The stand-in answers as Iceberg's REST specification documents it (error model, 401, 403, 419, 429, 503, OAuth2 token
answers, page of namespaces), and otherwise as proxies and broken servers do.
"""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.types import LongType, NestedField

from floe_catalog_iceberg.rest import RestCatalogConfig, RestCatalogPlugin
from floe_catalog_iceberg.tokens import ClientCredentials, TokenRequest
from floe_core.errors import (
    ConfigurationError,
    ConnectionError,  # noqa: A004 - ours
    ExecutionError,
    FloeError,
    ValidationError,
)
from floe_core.plugin_interfaces.metadata import HealthState

pytestmark = pytest.mark.requirement("FR-014", "CC-5.1")

SECRET = "not-to-be-seen"
TABLE = "/v1/namespaces/sales/tables/orders"
METADATA = new_table_metadata(
    Schema(NestedField(1, "id", LongType(), required=True)),
    UNPARTITIONED_PARTITION_SPEC,
    UNSORTED_SORT_ORDER,
    "s3://lake/sales/orders",
    {},
)


@dataclass
class Answer:
    """What the stand-in says; it may wait first, or hang up."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    wait_for: threading.Event | None = None
    hang_up: bool = False


def said(document: object, status: int = 200) -> Answer:
    return Answer(status, json.dumps(document).encode())


def failing(status: int, kind: str = "Exception", message: str = f"echo: {SECRET}") -> Answer:
    """Iceberg's error model; the message repeats what no log may show."""
    return said({"error": {"message": message, "type": kind, "code": status}}, status)


class Server(ThreadingHTTPServer):
    """Its callers may hang up."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Silent."""


class StandIn:
    """A catalog whose answers tests set; it knows which tokens are valid."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.forms: list[dict[str, list[str]]] = []
        self.headers: list[dict[str, str]] = []
        self.valid: set[str] = set()
        self.lifetime: float | None = 3600
        self.scripted: dict[str, list[Answer] | Answer] = {}
        self.namespaces: Callable[[str | None], list[list[str]]] = lambda parent: [] if parent else [["sales"]]
        self.lock = threading.Lock()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.say(stand_in.answer("GET", self.path, dict(self.headers), b""))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.say(stand_in.answer("POST", self.path, dict(self.headers), body))

            def say(self, answer: Answer) -> None:
                if answer.wait_for:
                    answer.wait_for.wait(30)
                if answer.hang_up:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Silent."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def count(self, path: str) -> int:
        return self.calls.count(path)

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        path = urlsplit(target).path
        with self.lock:
            self.calls.append(path)
            self.headers.append(headers)
            scripted = self.scripted.get(path)
            if isinstance(scripted, Answer):
                return scripted
            if scripted:
                return scripted.pop(0)
            if path == "/v1/oauth/tokens":
                return self.issue(parse_qs(body.decode()))
            if headers.get("Authorization", "").removeprefix("Bearer ") not in self.valid:
                return failing(401, "NotAuthorizedException")
            if method == "POST":
                return failing(409, "AlreadyExistsException")
            return self.know(path, parse_qs(urlsplit(target).query))

    def issue(self, form: dict[str, list[str]]) -> Answer:
        self.forms.append(form)
        if form.get("client_secret") != [SECRET]:
            return said({"error": "invalid_client", "error_description": str(form)}, 401)
        token = f"token-{len(self.forms)}"
        self.valid.add(token)
        lifetime = {} if self.lifetime is None else {"expires_in": self.lifetime}
        return said({"access_token": token, "token_type": "bearer", **lifetime})

    def know(self, path: str, query: dict[str, list[str]]) -> Answer:
        if path == "/v1/config":
            return said({"defaults": {}, "overrides": {}})
        if path == "/v1/namespaces":
            return said({"namespaces": self.namespaces(query.get("parent", [None])[0])})
        if path == TABLE:
            return said({"metadata-location": "s3://lake/m.json", "metadata": json.loads(METADATA.model_dump_json())})
        return failing(404, "NoSuchTableException")

    def config(self, **changed: Any) -> RestCatalogConfig:
        return RestCatalogConfig.model_validate(
            {"uri": self.uri, "credential": f"id:{SECRET}", "timeout_seconds": 5, **changed}
        )


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture
def faulty_plugin(stand_in: StandIn) -> Iterator[RestCatalogPlugin]:
    plugin = RestCatalogPlugin(stand_in.config())
    yield plugin
    plugin.shutdown()


def test_one_token_and_one_session_serve_many_calls(faulty_plugin: RestCatalogPlugin, stand_in: StandIn) -> None:
    for _ in range(5):
        catalog = faulty_plugin.connect({})
        assert catalog.load_table("sales.orders").columns[0].name == "id"
        catalog.close()
    assert stand_in.calls == ["/v1/oauth/tokens", "/v1/config", *[TABLE] * 5]


def test_a_reader_asks_for_no_storage_credentials(faulty_plugin: RestCatalogPlugin, stand_in: StandIn) -> None:
    faulty_plugin.connect({}).load_table("sales.orders")
    assert not any("X-Iceberg-Access-Delegation" in headers for headers in stand_in.headers)


@pytest.mark.requirement("FR-014", "HOUSE-7")
def test_a_revoked_token_is_replaced_without_anybody_noticing(
    faulty_plugin: RestCatalogPlugin, stand_in: StandIn
) -> None:
    catalog = faulty_plugin.connect({})
    before = catalog.load_table("sales.orders")
    stand_in.valid.clear()
    assert catalog.load_table("sales.orders") == before
    assert stand_in.count("/v1/oauth/tokens") == 2


def test_a_revoked_token_is_replaced_even_if_no_client_was_left(
    faulty_plugin: RestCatalogPlugin, stand_in: StandIn
) -> None:
    catalog = faulty_plugin.connect({})
    stand_in.scripted[TABLE] = [failing(500)]
    with pytest.raises(ConnectionError):
        catalog.load_table("sales.orders")
    stand_in.valid.clear()
    assert catalog.load_table("sales.orders").columns


def test_a_secret_that_is_refused_is_not_tried_twice(stand_in: StandIn) -> None:
    with pytest.raises(ConnectionError, match="refuses the credential"):
        RestCatalogPlugin(stand_in.config(credential="id:wrong")).connect({})
    assert stand_in.calls == ["/v1/oauth/tokens"]


def test_a_token_that_the_catalog_calls_expired_is_replaced(
    faulty_plugin: RestCatalogPlugin, stand_in: StandIn
) -> None:
    catalog = faulty_plugin.connect({})
    stand_in.scripted[TABLE] = [failing(419, "AuthenticationTimeoutException") for _ in range(2)]
    assert catalog.load_table("sales.orders").columns
    assert stand_in.count("/v1/oauth/tokens") == 2


def test_a_token_service_that_comes_back_is_used_again(faulty_plugin: RestCatalogPlugin, stand_in: StandIn) -> None:
    catalog = faulty_plugin.connect({})
    stand_in.valid.clear()
    stand_in.scripted["/v1/oauth/tokens"] = failing(503)
    with pytest.raises(ConnectionError, match=r"token service of the catalog at .* fails \(HTTP 503\)"):
        catalog.load_table("sales.orders")
    del stand_in.scripted["/v1/oauth/tokens"]
    assert catalog.load_table("sales.orders").columns


def test_many_threads_renew_a_revoked_token_once(faulty_plugin: RestCatalogPlugin, stand_in: StandIn) -> None:
    catalog = faulty_plugin.connect({})
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: catalog.load_table("sales.orders"), range(16)))
        issued = stand_in.count("/v1/oauth/tokens")
        stand_in.valid.clear()
        tables = list(threads.map(lambda _: catalog.load_table("sales.orders"), range(32)))
    assert len(tables) == 32
    # A thread that began with the old token after it was replaced may ask once more.
    assert 1 <= stand_in.count("/v1/oauth/tokens") - issued <= 2


@pytest.mark.parametrize(
    ("answer", "sentence", "reason"),
    [
        pytest.param(failing(429), "limits our calls (HTTP 429)", "rate_limited", id="429"),
        pytest.param(failing(500), "fails (HTTP 500)", "server_error", id="500"),
        pytest.param(failing(503), "fails (HTTP 503)", "server_error", id="503"),
        pytest.param(failing(403), "does not permit this (HTTP 403)", "forbidden", id="403"),
        pytest.param(failing(400), "answers HTTP 400", "unexpected_status", id="400"),
        pytest.param(Answer(200, b"<html>Sign in</html>"), "is not Iceberg's", "not_understood", id="a sign-in page"),
        pytest.param(said({"metadata": SECRET}), "is not Iceberg's", "not_understood", id="JSON of somebody else's"),
        pytest.param(said([1]), "is not Iceberg's", "not_understood", id="a JSON list"),
        pytest.param(Answer(404, b"<html>none</html>"), "answers HTTP 404", "unexpected_status", id="a proxy's 404"),
        pytest.param(Answer(502, b""), "fails (HTTP 502)", "server_error", id="a proxy's 502"),
    ],
)
def test_a_faulty_answer_is_told_by_a_reason_of_ours(
    faulty_plugin: RestCatalogPlugin, stand_in: StandIn, answer: Answer, sentence: str, reason: str
) -> None:
    catalog = faulty_plugin.connect({})
    stand_in.scripted[TABLE] = answer
    with pytest.raises(ConnectionError) as caught:
        catalog.load_table("sales.orders")
    assert sentence in str(caught.value)
    assert caught.value.details == {"reason": reason}
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__
    del stand_in.scripted[TABLE]
    assert catalog.load_table("sales.orders").columns, "the next call works again"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(200, b"<html>Sign in</html>"), id="a page"),
        pytest.param(said({"defaults": None, "overrides": None}), id="nulls"),
        pytest.param(said(7), id="a number"),
    ],
)
def test_a_server_that_is_no_catalog_is_told_at_once(
    faulty_plugin: RestCatalogPlugin, stand_in: StandIn, answer: Answer
) -> None:
    stand_in.scripted["/v1/config"] = answer
    with pytest.raises(ConnectionError, match="is not Iceberg's"):
        faulty_plugin.connect({})


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        pytest.param(said({"access_token": ""}), "is not Iceberg's", id="an empty token"),
        pytest.param(Answer(200, SECRET.encode()), "is not Iceberg's", id="no JSON"),
        pytest.param(said({"error": "invalid_scope"}, 400), "refuses the credential (HTTP 400)", id="a wrong scope"),
        pytest.param(failing(429), "limits our calls", id="too many tokens"),
        pytest.param(
            Answer(307, headers={"Location": "http://127.0.0.1:9/elsewhere"}), "answers HTTP 307", id="a redirect"
        ),
    ],
)
def test_a_faulty_token_service_is_told(
    faulty_plugin: RestCatalogPlugin, stand_in: StandIn, answer: Answer, sentence: str
) -> None:
    stand_in.scripted["/v1/oauth/tokens"] = answer
    with pytest.raises(ConnectionError) as caught:
        faulty_plugin.connect({})
    assert sentence in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_slow_catalog_is_given_up(stand_in: StandIn) -> None:
    plugin = RestCatalogPlugin(stand_in.config(timeout_seconds=0.2))
    catalog = plugin.connect({})
    released = threading.Event()
    stand_in.scripted[TABLE] = Answer(wait_for=released)
    with pytest.raises(ConnectionError, match="did not answer in time") as caught:
        catalog.load_table("sales.orders")
    released.set()
    assert caught.value.details == {"reason": "timeout"}
    plugin.shutdown()


def test_health_is_told_in_time_even_if_the_catalog_hangs(stand_in: StandIn) -> None:
    released = threading.Event()
    stand_in.scripted["/v1/oauth/tokens"] = Answer(wait_for=released)
    status = RestCatalogPlugin(stand_in.config()).health_check(timeout_seconds=0.3)
    released.set()
    assert status.state is HealthState.UNHEALTHY
    assert "in time" in status.message or "within" in status.message


def test_a_connection_that_broke_while_idle_is_opened_again(
    faulty_plugin: RestCatalogPlugin, stand_in: StandIn
) -> None:
    catalog = faulty_plugin.connect({})
    stand_in.scripted[TABLE] = [Answer(hang_up=True)]
    assert catalog.load_table("sales.orders").columns


def test_a_change_is_not_repeated_when_the_connection_broke(
    faulty_plugin: RestCatalogPlugin, stand_in: StandIn
) -> None:
    faulty_plugin.connect({})
    stand_in.scripted["/v1/namespaces"] = [Answer(hang_up=True)]
    with pytest.raises(ConnectionError, match="cannot be reached"):
        faulty_plugin.create_namespace("sales")
    assert stand_in.count("/v1/namespaces") == 1
    with pytest.raises(ExecutionError, match="refuses namespace sales"):
        faulty_plugin.create_namespace("sales")


def test_what_a_catalog_does_not_offer_is_told(faulty_plugin: RestCatalogPlugin, stand_in: StandIn) -> None:
    stand_in.scripted["/v1/config"] = said(
        {"endpoints": ["GET /v1/{prefix}/namespaces"], "defaults": {}, "overrides": {}}
    )
    with pytest.raises(ExecutionError, match=r"does not offer what table sales\.orders needs"):
        faulty_plugin.connect({}).load_table("sales.orders")


@pytest.mark.parametrize(
    ("listing", "found"),
    [
        pytest.param(
            {None: [["a"], ["b"]], "a": [["a", "x"]], "a\x1fx": [["a", "x", "y"]]},
            ["a", "a.x", "a.x.y", "b"],
            id="namespaces in namespaces",
        ),
        pytest.param({None: [["a"], ["b"]], "a": [["a"], ["b"]], "b": [["a"], ["b"]]}, ["a", "b"], id="parent ignored"),
    ],
)
def test_all_namespaces_are_found(
    faulty_plugin: RestCatalogPlugin, stand_in: StandIn, listing: dict[str | None, list[list[str]]], found: list[str]
) -> None:
    stand_in.namespaces = lambda parent: listing.get(parent, [])
    assert faulty_plugin.list_namespaces() == found


def test_a_flat_catalog_is_asked_once(stand_in: StandIn) -> None:
    plugin = RestCatalogPlugin(stand_in.config(nested_namespaces=False))
    assert plugin.list_namespaces() == ["sales"]
    assert stand_in.count("/v1/namespaces") == 1
    plugin.shutdown()


def test_a_namespace_that_cannot_be_looked_into_is_still_listed(
    faulty_plugin: RestCatalogPlugin, stand_in: StandIn
) -> None:
    stand_in.scripted["/v1/namespaces"] = [said({"namespaces": [["sales"]]}), failing(400)]
    assert faulty_plugin.list_namespaces() == ["sales"]


def test_vended_credentials_are_those_of_the_table(stand_in: StandIn) -> None:
    plugin = RestCatalogPlugin(stand_in.config())
    document = json.loads(METADATA.model_dump_json())
    document["properties"] = {"owner": "sales"}
    stand_in.scripted[TABLE] = said(
        {
            "metadata-location": "s3://lake/m.json",
            "metadata": document,
            "config": {"s3.region": "eu-central-1"},
            "storage-credentials": [{"prefix": "s3://lake/", "config": {"s3.access-key-id": "short-lived"}}],
        }
    )
    assert plugin.vend_credentials("sales.orders", ["read"]) == {
        "s3.region": "eu-central-1",
        "s3.access-key-id": "short-lived",
    }
    assert stand_in.headers[-1]["X-Iceberg-Access-Delegation"] == "vended-credentials"


def test_scope_audience_and_headers_are_sent(stand_in: StandIn) -> None:
    config = stand_in.config(scope="PRINCIPAL_ROLE:ALL", audience="lake", headers={"Polaris-Realm": "prod"})
    plugin = RestCatalogPlugin(config)
    plugin.connect({}).load_table("sales.orders")
    plugin.shutdown()
    assert stand_in.forms == [
        {
            "grant_type": ["client_credentials"],
            "client_id": ["id"],
            "client_secret": [SECRET],
            "scope": ["PRINCIPAL_ROLE:ALL"],
            "audience": ["lake"],
        }
    ]
    assert [headers["Polaris-Realm"] for headers in stand_in.headers] == ["prod"] * 3


def test_a_token_is_renewed_shortly_before_it_expires(stand_in: StandIn) -> None:
    now = 1000.0
    stand_in.lifetime = 100
    form = {"grant_type": "client_credentials", "client_secret": SECRET}
    request = TokenRequest(f"{stand_in.uri}/v1/oauth/tokens", form, verify=True, timeout_seconds=5)
    tokens = ClientCredentials(request, clock=lambda: now)
    assert tokens.token() == "token-1"
    now += 69
    assert tokens.token() == "token-1"
    now += 1
    assert tokens.token() == "token-2"
    stand_in.lifetime = None
    tokens.forget()
    assert tokens.token() == "token-3"
    now += 1e9
    assert tokens.token() == "token-3"
    assert SECRET not in repr(request)


@pytest.mark.requirement("CC-2.4", "HOUSE-7")
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        pytest.param({"token": "abc"}, "credential and token exclude each other", id="two credentials"),
        pytest.param({"uri": "lake.example.com"}, "begins with http", id="no address"),
        pytest.param(
            {"uri": f"https://me:{SECRET}@lake.example.com"}, "must hold no credential", id="one in the address"
        ),
    ],
)
def test_a_wrong_configuration_is_told_without_its_values(
    stand_in: StandIn, changed: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        RestCatalogPlugin(stand_in.config()).connect(changed)
    assert SECRET not in str(caught.value)


def test_an_unknown_table_is_no_fault_of_the_connection(faulty_plugin: RestCatalogPlugin, stand_in: StandIn) -> None:
    catalog = faulty_plugin.connect({})
    for name in ("sales.not_there", "orders"):
        with pytest.raises(ValidationError, match=f"no table {name}"):
            catalog.load_table(name)
    assert stand_in.count("/v1/config") == 1


def test_a_name_that_is_not_known_is_told(faulty_plugin: RestCatalogPlugin) -> None:
    with pytest.raises(FloeError, match=r"not known|cannot be reached"):
        faulty_plugin.connect({"uri": "http://catalog.invalid"})
