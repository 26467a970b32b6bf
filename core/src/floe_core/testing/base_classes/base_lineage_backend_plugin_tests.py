"""What every lineage backend plugin must satisfy (REQ-056 to REQ-059)."""

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import pytest

from floe_core.artifacts import CompiledArtifacts
from floe_core.credentials import names_in
from floe_core.namespaces import NamespaceParts, NamespaceStrategy, job_namespace
from floe_core.plugin_interfaces import LineageBackendPlugin, OpenLineageTransport
from floe_core.testing.artifacts import sample_artifacts
from floe_core.testing.base_classes.base_plugin_tests import CONNECTION_SECONDS, BasePluginTests
from floe_core.testing.credentials_probe import CANARY, as_plain, assert_no_credentials, canaries
from floe_core.testing.job_environment import container_environment, job_values_problems, process_environment
from floe_core.testing.lineage_receiver import lineage_receiver
from floe_core.testing.loopback import closed_port

_PARTS = NamespaceParts(
    product="orders", domain="sales", environment="production", organization="acme", tenant="single-tenant"
)


class BaseLineageBackendPluginTests(BasePluginTests):
    """Transport, namespace strategy, Helm values and connection check of a lineage backend."""

    expected_namespace_strategy: NamespaceStrategy | None = None
    """The strategy that the backend's documentation asks for. May be set."""

    @pytest.fixture
    def plugin(self) -> LineageBackendPlugin:
        """The plugin under test, configured as in a manifest. Override it."""
        raise NotImplementedError("override the fixture `plugin` and return your configured plugin")

    @pytest.fixture(params=["development", "staging", "production"])
    def environment(self, request: pytest.FixtureRequest) -> str:
        """Name of a deployment environment. May be overridden."""
        return str(request.param)

    @pytest.fixture
    def artifacts(self) -> CompiledArtifacts:
        """A product's artifacts. May be overridden."""
        return sample_artifacts()

    @pytest.fixture
    def transport(
        self, plugin: LineageBackendPlugin, environment: str, monkeypatch: pytest.MonkeyPatch
    ) -> OpenLineageTransport:
        """The plugin's transport; every credential that it names is set to a value that is recognised."""
        names = names_in(as_plain(plugin.get_transport_config(environment)))
        for name, value in canaries(names).items():
            monkeypatch.setenv(name, value)
        return plugin.get_transport_config(environment)

    @pytest.fixture
    def refused_transport(self, transport: OpenLineageTransport) -> OpenLineageTransport:
        """The transport to a backend that refuses connections. May be overridden."""
        return _moved(transport, f"http://127.0.0.1:{closed_port()}")

    @pytest.mark.requirement("REQ-056", "REQ-057")
    def test_the_transport_is_the_interfaces_model(self, transport: OpenLineageTransport) -> None:
        assert isinstance(transport, OpenLineageTransport), f"it is {type(transport).__name__}"
        OpenLineageTransport.model_validate(transport.model_dump())

    @pytest.mark.requirement("REQ-057")
    def test_the_transport_is_the_same_each_time(
        self, plugin: LineageBackendPlugin, environment: str, transport: OpenLineageTransport
    ) -> None:
        assert plugin.get_transport_config(environment) == transport

    @pytest.mark.requirement("REQ-057")
    def test_an_http_transport_has_a_url_without_the_endpoint(self, transport: OpenLineageTransport) -> None:
        if transport.type != "http":
            return
        assert transport.url, "an http transport needs a URL"
        url = urlsplit(transport.url)
        assert url.scheme in {"http", "https"}, f"{transport.url!r} is no http URL"
        assert url.hostname, f"{transport.url!r} names no host"
        assert not url.query, "a query would be lost when the endpoint is joined"
        posted = urlsplit(urljoin(transport.url, transport.endpoint)).path
        assert posted.count("lineage") <= max(1, transport.endpoint.count("lineage")), f"the path is doubled: {posted}"

    @pytest.mark.requirement("REQ-057")
    def test_authentication_has_a_shape_that_the_client_knows(self, transport: OpenLineageTransport) -> None:
        # openlineage-python ignores `auth` without a type: events would leave without a credential.
        assert not transport.auth or "type" in transport.auth, "`auth` needs `type`; a header belongs in `headers`"

    @pytest.mark.requirement("REQ-057", "HOUSE-7")
    def test_credentials_are_references(self, transport: OpenLineageTransport) -> None:
        assert_no_credentials(transport, "the transport")

    @pytest.mark.requirement("REQ-057", "REQ-526")
    def test_the_real_client_sends_an_event_with_the_transport(self, transport: OpenLineageTransport) -> None:
        if transport.type != "http":
            return
        with lineage_receiver() as receiver, process_environment({}):
            _emit(_moved(transport, receiver.origin))
        assert len(receiver.received) == 1, "the event did not arrive"
        request = receiver.received[0]
        assert request.path == urlsplit(urljoin(transport.url or "", transport.endpoint)).path
        sent = " ".join(request.headers.values())
        assert "${env:" not in sent, "a reference was sent unresolved"
        for credential in canaries(names_in(as_plain(transport))).values():
            assert credential in sent or transport.auth.get("type") in {"jwt", "oauth2"}, "the credential is not sent"

    @pytest.mark.requirement("REQ-058")
    def test_the_namespace_strategy_makes_a_namespace(self, plugin: LineageBackendPlugin) -> None:
        strategy = plugin.get_namespace_strategy()
        assert isinstance(strategy, NamespaceStrategy), f"it is {type(strategy).__name__}, not NamespaceStrategy"
        assert job_namespace(strategy.template, _PARTS).strip()
        if self.expected_namespace_strategy is not None:
            assert strategy is self.expected_namespace_strategy

    @pytest.mark.requirement("REQ-059")
    def test_helm_values_fit_the_schema_of_job_values(
        self, plugin: LineageBackendPlugin, artifacts: CompiledArtifacts, environment: str
    ) -> None:
        values = plugin.get_helm_values(artifacts, environment)
        assert isinstance(values, dict), f"they are {type(values).__name__}, not a dict"
        problems = job_values_problems(as_plain(values))
        assert not problems, "; ".join(problems)

    @pytest.mark.requirement("REQ-059")
    def test_helm_values_lead_the_real_client_to_the_same_address(
        self,
        plugin: LineageBackendPlugin,
        artifacts: CompiledArtifacts,
        environment: str,
        transport: OpenLineageTransport,
    ) -> None:
        values = plugin.get_helm_values(artifacts, environment)
        if not values or transport.type != "http":
            return
        with process_environment(container_environment(values["env"], CANARY)):
            client = _client_of_the_environment()
        chosen = client.transport
        kind = getattr(chosen, "kind", None)
        assert kind == "http", f"with these variables the client chooses the transport {kind}"
        address = urljoin(chosen.url, chosen.endpoint)
        assert address == urljoin(transport.url or "", transport.endpoint)

    @pytest.mark.usefixtures("transport")  # sets the credentials that the plugin names
    @pytest.mark.requirement("REQ-059", "HOUSE-7")
    def test_helm_values_hold_no_credential(
        self,
        plugin: LineageBackendPlugin,
        artifacts: CompiledArtifacts,
        environment: str,
    ) -> None:
        assert_no_credentials(plugin.get_helm_values(artifacts, environment), "the Helm values")

    @pytest.mark.requirement("HOUSE-7", "CC-3.1")
    def test_its_own_text_holds_no_credential(
        self, plugin: LineageBackendPlugin, transport: OpenLineageTransport
    ) -> None:
        for text in (repr(plugin), str(plugin), repr(plugin.config), repr(transport)):
            assert_no_credentials(text, "repr()")

    @pytest.mark.requirement("REQ-060")
    def test_a_refused_connection_is_false_and_no_exception(
        self, plugin: LineageBackendPlugin, refused_transport: OpenLineageTransport
    ) -> None:
        started = time.monotonic()
        reached = plugin.validate_connection(refused_transport)
        assert reached is False, f"it is {reached!r}, not False"
        assert time.monotonic() - started < CONNECTION_SECONDS, "at most ten seconds"

    @pytest.mark.requirement("REQ-060")
    def test_a_missing_credential_is_false_and_no_exception(
        self, plugin: LineageBackendPlugin, refused_transport: OpenLineageTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in names_in(as_plain(refused_transport)):
            monkeypatch.delenv(name, raising=False)
        reached = plugin.validate_connection(refused_transport)
        assert reached is False, f"it is {reached!r}, not False"

    @pytest.mark.requirement("REQ-060", "HOUSE-7")
    def test_the_connection_check_does_not_print_a_credential(
        self,
        plugin: LineageBackendPlugin,
        refused_transport: OpenLineageTransport,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        with caplog.at_level("DEBUG"):
            plugin.validate_connection(refused_transport)
        printed = capfd.readouterr()
        assert CANARY not in printed.out + printed.err + caplog.text


def _moved(transport: OpenLineageTransport, origin: str) -> OpenLineageTransport:
    """The transport to another origin, the path kept."""
    return transport.model_copy(update={"url": origin + urlsplit(transport.url or "").path, "verify": True})


def _emit(transport: OpenLineageTransport) -> None:
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState  # noqa: PLC0415 - its import costs 150 ms

    from floe_core.lineage.transport import client_for  # noqa: PLC0415 - as above

    event = RunEvent(
        eventType=RunState.START,
        eventTime=datetime.now(UTC).isoformat(),
        run=Run(runId=str(uuid4())),
        job=Job(namespace="acme/sales/orders", name="nightly"),
        producer="https://floe.dev/compliance",
    )
    client_for(transport, canaries(names_in(as_plain(transport)))).emit(event)


def _client_of_the_environment() -> Any:
    from openlineage.client import OpenLineageClient  # noqa: PLC0415 - its import costs 150 ms

    return OpenLineageClient()
