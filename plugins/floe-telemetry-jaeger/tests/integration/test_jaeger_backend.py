"""Jaeger as every telemetry backend, and what is its own."""

import pytest
from pydantic import ValidationError

from floe_core.plugin_interfaces.collector_values import CollectorSettings
from floe_core.testing.artifacts import sample_artifacts
from floe_core.testing.base_classes import BaseTelemetryBackendPluginTests
from floe_telemetry_jaeger import JaegerTelemetryConfig, JaegerTelemetryPlugin

pytestmark = pytest.mark.requirement("REQ-055")


class TestJaegerTelemetryPlugin(BaseTelemetryBackendPluginTests):
    """The suite of all telemetry backends."""

    @pytest.fixture
    def plugin(self) -> JaegerTelemetryPlugin:
        return JaegerTelemetryPlugin.from_mapping({"endpoint": "jaeger-collector.observability:4317"})


def test_without_configuration_it_sends_to_the_service_jaeger_without_tls() -> None:
    exporter = JaegerTelemetryPlugin().get_otlp_exporter_config("production")

    assert (exporter.endpoint, exporter.protocol, exporter.insecure) == ("jaeger:4317", "grpc", True)


def test_only_traces_are_sent_because_jaeger_takes_nothing_else() -> None:
    values = JaegerTelemetryPlugin().get_helm_values(sample_artifacts(), "production")

    assert list(values["config"]["service"]["pipelines"]) == ["traces"]


def test_the_retired_exporter_is_not_used() -> None:
    values = JaegerTelemetryPlugin().get_helm_values(sample_artifacts(), "production")

    assert list(values["config"]["exporters"]) == ["otlp_grpc/jaeger"]


def test_an_older_collector_gets_the_older_name() -> None:
    config = JaegerTelemetryConfig(collector=CollectorSettings(legacy_exporter_names=True))

    values = JaegerTelemetryPlugin(config).get_helm_values(sample_artifacts(), "production")

    assert list(values["config"]["exporters"]) == ["otlp/jaeger"]


def test_tls_is_used_when_it_is_asked_for() -> None:
    values = JaegerTelemetryPlugin.from_mapping({"insecure": False}).get_helm_values(sample_artifacts(), "production")

    assert values["config"]["exporters"]["otlp_grpc/jaeger"]["tls"] == {"insecure": False}


@pytest.mark.parametrize(
    "endpoint", ["jaeger", "http://jaeger:4317", "jaeger:0", "jaeger:65536", "user@jaeger:4317", "jaeger:4317/v1"]
)
def test_an_endpoint_that_is_no_host_and_port_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="endpoint"):
        JaegerTelemetryConfig(endpoint=endpoint)


def test_an_address_of_ip_version_6_is_an_endpoint() -> None:
    assert JaegerTelemetryConfig(endpoint="[::1]:4317").endpoint == "[::1]:4317"
