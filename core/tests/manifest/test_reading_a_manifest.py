"""What a manifest says is what the models hold, and its published schema agrees."""

from pathlib import Path

import jsonschema_rs
import pytest
import structlog

from floe_core.errors import ValidationError
from floe_core.manifest import load_manifest, manifest_schema, parse_manifest

pytestmark = pytest.mark.requirement("HOUSE-8")

COMPLETE = """
apiVersion: floe.dev/v1
kind: Manifest
metadata: {name: acme, owner: platform@acme.example}
plugins:
  telemetry_backend: {type: jaeger, version: 0.1.0, config: {endpoint: "jaeger:4317"}}
  lineage_backend: {type: marquez}
  alert_channels:
    - {name: ops, type: webhook, config: {url: "https://ops.example/hook"}}
credentials:
  DD_API_KEY: {secret: datadog-credentials, key: api-key}
namespaces: {strategy: centralized, organization: acme, domain: sales}
injection:
  telemetry: relay
  sidecar: {port: 5000, resources: {requests: {cpu: 20m, memory: 32Mi}, limits: {cpu: "1", memory: 64Mi}}}
monitoring: {alerts: {routing_rules: [{channel_name: ops, min_severity: error}]}}
logging: {level: debug, format: console}
"""
MINIMAL = "apiVersion: floe.dev/v1\nkind: Manifest\nmetadata: {name: acme}\n"


def test_a_complete_manifest_is_read(tmp_path: Path) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text("\ufeff" + COMPLETE, encoding="utf-8")
    manifest = load_manifest(file)
    assert manifest.plugins.telemetry_backend is not None
    assert manifest.plugins.telemetry_backend.config == {"endpoint": "jaeger:4317"}
    assert manifest.plugins.alert_channels[0].name == "ops"
    assert manifest.credentials["DD_API_KEY"].key == "api-key"
    assert manifest.injection.telemetry == "relay"
    assert manifest.injection.sidecar.resources.limits.cpu == "1"
    assert manifest.logging.level == "debug"


def test_a_minimal_manifest_has_the_defaults_of_the_design() -> None:
    manifest = parse_manifest(MINIMAL, file="x").manifest
    assert manifest.injection.telemetry == "collector"
    assert manifest.injection.sidecar.resources.requests.memory == "48Mi"
    assert manifest.namespaces.tenant == "single-tenant"
    assert manifest.monitoring.check_intervals.freshness_minutes == 15


def test_anchors_and_merge_keys_are_understood() -> None:
    text = MINIMAL + (
        "injection:\n  sidecar:\n    resources:\n"
        "      requests: &amounts {cpu: 20m, memory: 32Mi}\n      limits: {<<: *amounts, memory: 64Mi}\n"
    )
    resources = parse_manifest(text, file="x").manifest.injection.sidecar.resources
    assert (resources.limits.cpu, resources.limits.memory) == ("20m", "64Mi")


@pytest.mark.parametrize("text", [MINIMAL, COMPLETE], ids=["minimal", "complete"])
def test_the_published_schema_takes_what_the_loader_takes(text: str) -> None:
    document = parse_manifest(text, file="x").document.content
    assert list(jsonschema_rs.validator_for(manifest_schema()).iter_errors(document)) == []


@pytest.mark.parametrize(
    "line", ["colour: red", "injection: {telemetry: nowhere}", "plugins: {alert_channels: [{type: x}]}", "metadata: {}"]
)
def test_the_published_schema_refuses_what_the_loader_refuses(line: str) -> None:
    document = parse_manifest(MINIMAL, file="x").document.content
    from ruamel.yaml import YAML  # noqa: PLC0415 - a second reader, not ours

    changed = document | dict(YAML(typ="safe").load(line))
    assert not jsonschema_rs.validator_for(manifest_schema()).is_valid(changed)


@pytest.mark.requirement("REQ-051", "REQ-056")
def test_the_old_keys_at_the_top_level_are_understood_and_the_new_text_is_shown() -> None:
    loaded = parse_manifest(
        MINIMAL + "telemetry_backend: {type: jaeger, config: {endpoint: 'jaeger:4317'}}\nlineage_backend: marquez\n",
        file="x",
    )
    telemetry, lineage = loaded.manifest.plugins.telemetry_backend, loaded.manifest.plugins.lineage_backend
    assert telemetry is not None
    assert lineage is not None
    assert (telemetry.type, telemetry.config, lineage.type) == ("jaeger", {"endpoint": "jaeger:4317"}, "marquez")
    shown = [str(deprecation) for deprecation in loaded.deprecations]
    assert shown[1] == (
        "x:5:1 (lineage_backend): `lineage_backend:` at the top level is deprecated. Write instead:\n"
        "    plugins:\n      lineage_backend:\n        type: marquez"
    )
    new_text = MINIMAL + loaded.deprecations[0].new_text
    assert parse_manifest(new_text, file="x").manifest.plugins.telemetry_backend == telemetry


def test_the_old_observability_section_is_migrated() -> None:
    old = (
        "observability:\n"
        "  tracing: {enabled: true, exporter: otlp, endpoint: 'http://otel:4317'}\n"
        "  lineage: {enabled: true, transport: http, endpoint: 'http://marquez:5000/api/v1/lineage'}\n"
        "  logging: {level: WARNING, format: text}\n"
    )
    loaded = parse_manifest(MINIMAL + old, file="x")
    assert loaded.manifest.injection.collector.endpoint == "http://otel:4317"
    assert loaded.manifest.injection.collector.protocol == "grpc"
    assert loaded.manifest.plugins.lineage_backend is not None
    assert loaded.manifest.plugins.lineage_backend.config == {"url": "http://marquez:5000"}
    assert (loaded.manifest.logging.level, loaded.manifest.logging.format) == ("warning", "console")
    (deprecation,) = loaded.deprecations
    assert parse_manifest(MINIMAL + deprecation.new_text, file="x").manifest == loaded.manifest


@pytest.mark.parametrize(
    "old",
    [
        "observability: {tracing: {enabled: false, endpoint: 'http://otel:4317'}}",
        "observability: {tracing: {exporter: console, endpoint: 'http://otel:4317'}}",
        "observability: {lineage: {transport: noop}}",
    ],
)
def test_what_was_switched_off_stays_off(old: str) -> None:
    loaded = parse_manifest(MINIMAL + old, file="x")
    assert loaded.manifest == parse_manifest(MINIMAL, file="x").manifest
    assert len(loaded.deprecations) == 1


@pytest.mark.parametrize(
    "old",
    [
        "observability: {lineage: {transport: kafka, endpoint: 'kafka:9092'}}",
        "observability: {tracing: {exporter: jaeger, endpoint: 'http://jaeger:14250'}}",
        "observability: {lineage: {transport: [http]}}",
    ],
)
def test_what_cannot_be_migrated_is_told_in_place_of_left_out(old: str) -> None:
    with pytest.raises(ValidationError, match="is not one of"):
        parse_manifest(MINIMAL + old, file="x")


def test_an_old_and_a_new_key_for_one_thing_are_a_conflict() -> None:
    text = MINIMAL + "telemetry_backend: {type: jaeger}\nplugins: {telemetry_backend: {type: datadog}}\n"
    with pytest.raises(ValidationError, match="both stand here") as caught:
        parse_manifest(text, file="x")
    assert caught.value.problems[0].where.line == 4


def test_loading_logs_what_is_deprecated(tmp_path: Path) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text(MINIMAL + "lineage_backend: marquez\n", encoding="utf-8")
    with structlog.testing.capture_logs() as lines:
        load_manifest(file)
    assert [(line["event"], line["log_level"]) for line in lines] == [("manifest.deprecated", "warning")]
    assert "type: marquez" in lines[0]["write_instead"]
