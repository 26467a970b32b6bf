"""Datadog as every telemetry backend, and what is its own."""

from typing import get_args

import pytest
from pydantic import ValidationError

from floe_core.testing.artifacts import sample_artifacts
from floe_core.testing.base_classes import BaseTelemetryBackendPluginTests
from floe_telemetry_datadog import DatadogSite, DatadogTelemetryConfig, DatadogTelemetryPlugin

pytestmark = pytest.mark.requirement("REQ-055")


class TestDatadogTelemetryPlugin(BaseTelemetryBackendPluginTests):
    """The suite of all telemetry backends."""

    @pytest.fixture
    def plugin(self) -> DatadogTelemetryPlugin:
        return DatadogTelemetryPlugin.from_mapping({"site": "datadoghq.eu"})


class TestDatadogTelemetryPluginWithTraces(BaseTelemetryBackendPluginTests):
    """The same with the Preview."""

    @pytest.fixture
    def plugin(self) -> DatadogTelemetryPlugin:
        return DatadogTelemetryPlugin.from_mapping({"traces": True, "api_key_variable": "TEAM_DD_KEY"})


@pytest.mark.parametrize("site", get_args(DatadogSite))
def test_each_site_has_its_own_hosts(site: DatadogSite) -> None:
    exporter = DatadogTelemetryPlugin(DatadogTelemetryConfig(site=site)).get_otlp_exporter_config("production")

    assert exporter.signal_endpoints == {
        "metrics": f"https://otlp.{site}/v1/metrics",
        "logs": f"https://otlp.{site}/v1/logs",
    }


@pytest.mark.parametrize("site", ["datadog.com", "ddog-gov.com", "https://datadoghq.eu"])
def test_a_site_without_the_intake_is_refused(site: str) -> None:
    with pytest.raises(ValidationError, match="site"):
        DatadogTelemetryConfig.model_validate({"site": site})


def test_traces_are_sent_only_when_they_are_asked_for() -> None:
    plain = DatadogTelemetryPlugin().get_otlp_exporter_config("production")
    preview = DatadogTelemetryPlugin.from_mapping({"traces": True}).get_otlp_exporter_config("production")

    assert (plain.signals, preview.signals) == (("metrics", "logs"), ("traces", "metrics", "logs"))


def test_metrics_and_nothing_else_become_deltas_before_they_are_batched() -> None:
    config = DatadogTelemetryPlugin().get_helm_values(sample_artifacts(), "production")["config"]

    assert {name: pipeline["processors"] for name, pipeline in config["service"]["pipelines"].items()} == {
        "metrics": ["memory_limiter", "cumulativetodelta", "batch"],
        "logs": ["memory_limiter", "batch"],
    }


def test_the_key_comes_from_the_secret_under_the_variables_name() -> None:
    plugin = DatadogTelemetryPlugin.from_mapping({"api_key_variable": "TEAM_DD_KEY"})

    values = plugin.get_helm_values(sample_artifacts(), "production")

    selector = {"secretKeyRef": {"name": "datadog-credentials", "key": "TEAM_DD_KEY"}}
    assert values["extraEnvs"] == [{"name": "TEAM_DD_KEY", "valueFrom": selector}]
    assert values["config"]["exporters"]["otlp_http/datadog"]["headers"] == {"dd-api-key": "${env:TEAM_DD_KEY}"}
