"""From a platform manifest to the exporter: plugins are found by entry point, and their READMEs' examples work."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from floe_core.cli.helm_values import values_of
from floe_core.cli.manifest_file import read_manifest_for_command
from floe_core.credentials import names_in
from floe_core.errors import ConfigurationError
from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_core.plugin_interfaces.telemetry import OTLPExporterConfig
from floe_core.testing.artifacts import sample_artifacts
from floe_core.testing.collector import collector_problems

pytestmark = pytest.mark.requirement("REQ-052")

ROOT = Path(__file__).resolve().parents[2]
READMES = {
    "jaeger": ROOT / "plugins/floe-telemetry-jaeger/README.md",
    "datadog": ROOT / "plugins/floe-telemetry-datadog/README.md",
    "grafana-cloud": ROOT / "plugins/floe-telemetry-grafana/README.md",
}
_YAML_BLOCK = re.compile(r"```yaml\n(.*?)```", re.DOTALL)
_MANIFEST_HEAD = {"apiVersion": "floe.dev/v1", "kind": "Manifest", "metadata": {"name": "acme-data"}}


def exporter_of(backend: str, config: dict[str, Any]) -> OTLPExporterConfig:
    plugin = PluginRegistry().create(PluginKind.TELEMETRY_BACKEND, PluginChoice(type=backend, config=config))
    return plugin.get_otlp_exporter_config("production")


def helm_values(manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What `floe helm-values telemetry` prints."""
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump({**_MANIFEST_HEAD, **manifest}), encoding="utf-8")
    return values_of("telemetry", read_manifest_for_command(path).manifest, None)


def blocks(page: Path) -> list[Any]:
    return [yaml.safe_load(text) for text in _YAML_BLOCK.findall(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    ("backend", "config", "expected"),
    [
        pytest.param(
            "jaeger",
            {"endpoint": "jaeger.observability.svc:4317"},
            OTLPExporterConfig(
                endpoint="jaeger.observability.svc:4317", protocol="grpc", insecure=True, signals=("traces",)
            ),
            id="jaeger",
        ),
        pytest.param(
            "datadog",
            {"site": "datadoghq.eu"},
            OTLPExporterConfig(
                endpoint="https://otlp.datadoghq.eu",
                protocol="http/protobuf",
                headers={"dd-api-key": "${env:DD_API_KEY}"},
                signals=("metrics", "logs"),
                signal_endpoints={
                    "metrics": "https://otlp.datadoghq.eu/v1/metrics",
                    "logs": "https://otlp.datadoghq.eu/v1/logs",
                },
                metrics_temporality="delta",
            ),
            id="datadog",
        ),
        pytest.param(
            "grafana-cloud",
            {"zone": "prod-eu-west-2"},
            OTLPExporterConfig.model_validate(
                {
                    "endpoint": "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp",
                    "protocol": "http/protobuf",
                    "basic_auth": {
                        "username": "${env:GRAFANA_CLOUD_INSTANCE_ID}",
                        "password": "${env:GRAFANA_CLOUD_API_KEY}",
                    },
                }
            ),
            id="grafana-cloud",
        ),
    ],
)
def test_a_manifests_choice_becomes_the_vendors_documented_exporter(
    backend: str, config: dict[str, Any], expected: OTLPExporterConfig
) -> None:
    assert exporter_of(backend, config) == expected


@pytest.mark.parametrize(
    ("backend", "config"),
    [
        ("jaeger", {"endpoint": "http://jaeger:4317"}),
        ("datadog", {"site": "datadoghq"}),
        ("datadog", {"endpoint": "https://otlp.datadoghq.eu/v1/metrics"}),
        ("datadog", {"api_key": "0123"}),
        ("grafana-cloud", {}),
        ("grafana-cloud", {"zone": "prod-eu-west-2", "collector": {"durable": True}}),
    ],
)
def test_a_choice_that_cannot_work_is_refused_when_the_manifest_is_read(backend: str, config: dict[str, Any]) -> None:
    with pytest.raises((ConfigurationError, ValidationError)):
        exporter_of(backend, config)


@pytest.mark.parametrize("backend", READMES)
@pytest.mark.requirement("REQ-052", "REQ-055", "HOUSE-7")
def test_a_readmes_manifest_section_and_secret_work_together(backend: str, tmp_path: Path) -> None:
    section, *secrets = blocks(READMES[backend])

    values = helm_values(section, tmp_path)

    assert section["plugins"]["telemetry_backend"]["type"] == backend
    assert collector_problems(values) == []
    provided = {(secret["metadata"]["name"], key) for secret in secrets for key in secret["stringData"]}
    asked = {
        (entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
        for entry in values.get("extraEnvs", [])
    }
    assert asked == provided


@pytest.mark.requirement("REQ-052", "HOUSE-7")
@pytest.mark.parametrize(
    ("manifest", "secret", "key"),
    [
        pytest.param({}, "datadog-credentials", "DD_API_KEY", id="the plugin's own Secret"),
        pytest.param({"connection_secret_ref": "team"}, "team", "DD_API_KEY", id="the backend's Secret"),
        pytest.param({"credentials": {"secret": "shared", "key": "dd"}}, "shared", "dd", id="a mapped credential"),
        pytest.param(
            {"connection_secret_ref": "team", "credentials": {"secret": "shared", "key": "dd"}},
            "shared",
            "dd",
            id="a mapped credential wins",
        ),
    ],
)
def test_the_manifest_says_from_which_secret_the_collector_takes_a_credential(
    manifest: dict[str, Any], secret: str, key: str, tmp_path: Path
) -> None:
    backend = {"type": "datadog"} | {name: value for name, value in manifest.items() if name != "credentials"}
    mapped = {"credentials": {"DD_API_KEY": manifest["credentials"]}} if "credentials" in manifest else {}

    values = helm_values({"plugins": {"telemetry_backend": backend}, **mapped}, tmp_path)

    selector = {"secretKeyRef": {"name": secret, "key": key}}
    assert values["extraEnvs"] == [{"name": "DD_API_KEY", "valueFrom": selector}]


@pytest.mark.parametrize("backend", ["datadog", "grafana-cloud"])
@pytest.mark.requirement("REQ-052", "HOUSE-7")
def test_the_credentials_that_an_exporter_names_are_those_that_its_helm_values_provide(backend: str) -> None:
    config = {"zone": "eu"} if backend == "grafana-cloud" else {}
    plugin = PluginRegistry().create(PluginKind.TELEMETRY_BACKEND, PluginChoice(type=backend, config=config))

    values = plugin.get_helm_values(sample_artifacts(), "production")

    named = names_in(plugin.get_otlp_exporter_config("production").model_dump())
    assert tuple(entry["name"] for entry in values["extraEnvs"]) == named


@pytest.mark.parametrize("backend", READMES)
@pytest.mark.requirement("REQ-055")
def test_a_readme_names_every_key_of_the_configuration(backend: str) -> None:
    schema = PluginRegistry().plugin_class(PluginKind.TELEMETRY_BACKEND, backend).config_schema
    assert schema is not None
    page = READMES[backend].read_text(encoding="utf-8")

    assert [key for key in schema.model_fields if f"| `{key}` |" not in page] == []
