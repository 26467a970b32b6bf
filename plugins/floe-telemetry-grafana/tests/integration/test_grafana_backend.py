"""Grafana Cloud as every telemetry backend, and what is its own."""

import pytest
from pydantic import ValidationError

from floe_core.errors import ConfigurationError
from floe_core.testing.artifacts import sample_artifacts
from floe_core.testing.base_classes import BaseTelemetryBackendPluginTests
from floe_telemetry_grafana import GrafanaCloudTelemetryConfig, GrafanaCloudTelemetryPlugin

pytestmark = pytest.mark.requirement("REQ-055")


class TestGrafanaCloudTelemetryPlugin(BaseTelemetryBackendPluginTests):
    """The suite of all telemetry backends."""

    @pytest.fixture
    def plugin(self) -> GrafanaCloudTelemetryPlugin:
        return GrafanaCloudTelemetryPlugin.from_mapping({"zone": "prod-eu-west-2"})


def test_a_zone_is_the_gateway_under_its_path() -> None:
    plugin = GrafanaCloudTelemetryPlugin.from_mapping({"zone": "prod-us-central-0"})

    exporter = plugin.get_otlp_exporter_config("production")

    assert exporter.endpoint == "https://otlp-gateway-prod-us-central-0.grafana.net/otlp"


def test_an_instance_id_and_a_token_authenticate_by_an_extension() -> None:
    config = GrafanaCloudTelemetryPlugin.from_mapping({"zone": "prod-eu-west-2"}).get_helm_values(
        sample_artifacts(), "production"
    )["config"]

    assert config["extensions"]["basicauth/grafana"] == {
        "client_auth": {"username": "${env:GRAFANA_CLOUD_INSTANCE_ID}", "password": "${env:GRAFANA_CLOUD_API_KEY}"}
    }
    assert config["exporters"]["otlp_http/grafana"]["auth"] == {"authenticator": "basicauth/grafana"}
    assert config["service"]["extensions"] == ["health_check", "basicauth/grafana"]


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="neither zone nor endpoint"),
        pytest.param({"zone": "prod-eu-west-2", "endpoint": "https://gateway.acme.example"}, id="both"),
        pytest.param({"zone": "https://otlp-gateway-prod-eu-west-2.grafana.net"}, id="an address as zone"),
        pytest.param({"endpoint": "https://otlp-gateway-prod-eu-west-2.grafana.net"}, id="without /otlp"),
        pytest.param({"endpoint": "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp/v1/traces"}, id="a signal"),
        pytest.param({"endpoint": "https://user:secret@gateway.acme.example"}, id="user info"),
    ],
)
def test_a_gateway_that_cannot_be_right_is_refused(config: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        GrafanaCloudTelemetryConfig.model_validate(config)


def test_a_gateway_of_ones_own_needs_no_path() -> None:
    config = GrafanaCloudTelemetryConfig(endpoint="https://alloy.acme.example:4318/")

    assert config.gateway_url == "https://alloy.acme.example:4318"


def test_without_a_zone_it_says_what_is_missing() -> None:
    plugin = GrafanaCloudTelemetryPlugin()

    assert not plugin.is_configured
    with pytest.raises(ConfigurationError, match="zone"):
        plugin.get_otlp_exporter_config("production")
