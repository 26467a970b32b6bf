"""The real OpenLineage client sends a real event through each plugin's transport to a server as documented.

Atlan is reached over TLS, as its plugin accepts nothing else. What each server asks for stands in `lineage_standins`.
"""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
import trustme
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import schema_dataset

from floe_core.errors import ConfigurationError, ValidationError
from floe_core.lineage.transport import client_for
from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces import LineageBackendPlugin, PluginKind, PluginRegistry
from tests.integration.lineage_standins import ATLAN, KEY, MARQUEZ, OPENMETADATA, StandIn, Vendor, standing_in

pytestmark = pytest.mark.requirement("REQ-057", "REQ-060", "HOUSE-7")


@dataclass(frozen=True, slots=True)
class Backend:
    """A plugin and the vendor that it is for; `variable` holds the credential, if one is needed."""

    plugin: str
    vendor: Vendor
    variable: str | None = None
    over_tls: bool = False

    def configured(self, origin: str, **config: Any) -> LineageBackendPlugin:
        choice = PluginChoice(type=self.plugin, config={"url": origin, **config})
        return PluginRegistry().create(PluginKind.LINEAGE_BACKEND, choice)

    def environment(self, key: str = KEY) -> Mapping[str, str]:
        return {self.variable: key} if self.variable else {}


BACKENDS = [
    Backend("marquez", MARQUEZ),
    Backend("atlan", ATLAN, "ATLAN_API_TOKEN", over_tls=True),
    Backend("openmetadata", OPENMETADATA, "OPENMETADATA_JWT_TOKEN"),
]
WITH_ACCOUNTS = [backend for backend in BACKENDS if backend.variable]
PLACEHOLDER = {"marquez": "http://marquez:5000", "atlan": "https://acme.atlan.com", "openmetadata": "http://om:8585"}

each_backend = pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.plugin)
each_account = pytest.mark.parametrize("backend", WITH_ACCOUNTS, ids=lambda backend: backend.plugin)


@pytest.fixture
def server_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate that the client trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@contextmanager
def server(backend: Backend, context: ssl.SSLContext) -> Iterator[StandIn]:
    with standing_in(backend.vendor, context if backend.over_tls else None) as running:
        yield running


@contextmanager
def closing(client: OpenLineageClient) -> Iterator[OpenLineageClient]:
    try:
        yield client
    finally:
        client.close()


def event(state: RunState = RunState.COMPLETE, namespace: str = "acme/sales/orders") -> RunEvent:
    """A run that reads one table and writes another."""
    columns = schema_dataset.SchemaDatasetFacet(fields=[schema_dataset.SchemaDatasetFacetFields("id", "bigint")])
    return RunEvent(
        eventType=state,
        eventTime=datetime.now(UTC).isoformat(),
        run=Run(runId=str(uuid4())),
        job=Job(namespace=namespace, name="orders.nightly"),
        inputs=[InputDataset("postgres://warehouse:5432", "sales.raw_orders", facets={"schema": columns})],
        outputs=[OutputDataset("postgres://warehouse:5432", "sales.orders", facets={"schema": columns})],
        producer="https://floe.dev/tests",
    )


@each_backend
def test_a_run_arrives_where_the_vendor_expects_it(backend: Backend, server_context: ssl.SSLContext) -> None:
    with server(backend, server_context) as vendor:
        transport = backend.configured(vendor.origin).get_transport_config("production")
        with closing(client_for(transport, backend.environment())) as client:
            client.emit(event(RunState.START))
            client.emit(event(RunState.COMPLETE))

    assert vendor.requests == [("POST", backend.vendor.event_path, backend.vendor.accepted)] * 2
    assert [taken["eventType"] for taken in vendor.events] == ["START", "COMPLETE"]
    assert {taken["job"]["namespace"] for taken in vendor.events} == {"acme/sales/orders"}


@each_account
def test_a_wrong_key_is_refused_once_and_not_tried_again(backend: Backend, server_context: ssl.SSLContext) -> None:
    with server(backend, server_context) as vendor:
        transport = backend.configured(vendor.origin).get_transport_config("production")
        with (
            closing(client_for(transport, backend.environment("wrong"))) as client,
            pytest.raises(requests.HTTPError, match="401"),
        ):
            client.emit(event())

    assert vendor.requests == [("POST", backend.vendor.event_path, 401)]
    assert vendor.events == []


@each_account
def test_a_key_that_is_not_set_is_told_before_anything_is_sent(backend: Backend) -> None:
    transport = backend.configured(PLACEHOLDER[backend.plugin]).get_transport_config("production")

    with pytest.raises(ConfigurationError, match=f"credential {backend.variable} is not set"):
        client_for(transport, {})


@each_backend
def test_timeout_and_retries_are_the_manifests(backend: Backend) -> None:
    plugin = backend.configured(PLACEHOLDER[backend.plugin], timeout=2.5, retries=1)

    with closing(client_for(plugin.get_transport_config("production"), backend.environment())) as client:
        config = getattr(client.transport, "config")  # noqa: B009 - a transport of another kind has none
        assert config.timeout == 2.5
        assert {config.retry[kind] for kind in ("total", "connect", "read")} == {1}


@each_backend
@pytest.mark.parametrize("path", ["/api/v1/lineage", "/events/openlineage/airflow/", "/api?key=1", "/#top"])
def test_an_address_with_a_path_is_refused_with_what_to_do_and_not_repeated(backend: Backend, path: str) -> None:
    with pytest.raises(ValidationError) as refused:
        backend.configured(PLACEHOLDER[backend.plugin] + path)

    assert "end the address before its path" in str(refused.value)
    assert path not in str(refused.value)


@each_backend
@pytest.mark.parametrize("address", ["marquez:5000", "ftp://marquez", "http://", "http://marquez:http", "http://a b"])
def test_what_is_no_address_is_refused(backend: Backend, address: str) -> None:
    with pytest.raises(ValidationError, match=r"plugins\.lineage_backend\.config\.url"):
        backend.configured(address)


@each_backend
def test_a_password_in_the_address_is_refused_and_not_repeated(backend: Backend) -> None:
    with pytest.raises(ValidationError) as refused:
        backend.configured("https://floe:hunter2@lineage.example.com")

    assert "no user and no password" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_atlan_is_not_spoken_to_in_the_clear() -> None:
    with pytest.raises(ValidationError, match="write https:// for http://"):
        Backend("atlan", ATLAN).configured("http://acme.atlan.com")


@pytest.mark.parametrize(
    ("plugin", "key"), [("marquez", "api_key"), ("atlan", "api_token"), ("openmetadata", "jwt_token")]
)
def test_a_credential_itself_is_refused_in_the_manifest_and_not_repeated(plugin: str, key: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Backend(plugin, MARQUEZ).configured(PLACEHOLDER[plugin], **{key: "eyJhbGciOi-hunter2"})

    assert "${env:NAME}" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_token_for_a_proxy_before_marquez_is_sent() -> None:
    marquez = Backend("marquez", Vendor("/api/v1/lineage", 201, "/proxy"), "PROXY_TOKEN")
    with standing_in(marquez.vendor) as proxy:
        plugin = marquez.configured(proxy.origin, api_key="${env:PROXY_TOKEN}")
        with closing(client_for(plugin.get_transport_config("production"), marquez.environment())) as client:
            client.emit(event())

    assert len(proxy.events) == 1


@pytest.mark.parametrize("source", ["airflow", "airflow-mwaa", "spark"])
def test_atlans_source_is_a_part_of_the_path(source: str) -> None:
    plugin = Backend("atlan", ATLAN).configured("https://acme.atlan.com", source=source)

    assert plugin.get_transport_config("production").endpoint == f"events/openlineage/{source}/api/v1/lineage"
