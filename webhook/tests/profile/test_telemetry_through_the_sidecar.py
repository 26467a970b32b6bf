"""`injection.telemetry: relay`: the sidecar is told of the backend, the containers of the sidecar only."""

from typing import Any

import jsonpatch
import pytest

from floe_core.plugin_interfaces.lineage import OpenLineageTransport
from floe_core.plugin_interfaces.telemetry import BasicAuth, OTLPExporterConfig
from floe_sidecar.settings import Settings
from floe_webhook.profile import Profile
from webhook.tests.builders import container, injected, pod, profile
from webhook.tests.kubelet import environment

pytestmark = pytest.mark.requirement("HOUSE-4", "HOUSE-7")

RELAY = {"telemetry": "relay"}
EXPORTER = OTLPExporterConfig(
    endpoint="https://otlp.example/base",
    protocol="http/protobuf",
    headers={"DD-API-KEY": "${env:DD_API_KEY}", "X-Note": "a"},
    signals=("metrics", "logs"),
    metrics_temporality="delta",
)


def told(document: dict[str, Any], platform: Profile) -> dict[str, str]:
    after = jsonpatch.apply_patch(document, injected(document, by=platform).operations)
    return environment(after["spec"]["containers"][0])


def sidecar_settings(platform: Profile, document: dict[str, Any] | None = None) -> Settings:
    found = injected(document or pod(), by=platform).plan.sidecar
    assert found is not None
    return Settings.from_environment(environment(found))


def test_the_sidecar_gets_the_backend_and_its_key_and_a_part_of_the_room() -> None:
    platform = profile(exporter=EXPORTER, injection=RELAY)
    settings = sidecar_settings(platform)
    assert settings.telemetry_url == "https://otlp.example/base"
    assert settings.telemetry_headers == {"DD-API-KEY": "${api_key}", "X-Note": "a"}
    assert str(settings.telemetry_api_key_file) == "/var/run/floe/credentials/telemetry-api-key"
    assert settings.telemetry_max_bytes == 48 * 2**20
    assert settings.spool_max_bytes == sidecar_settings(profile()).spool_max_bytes - settings.telemetry_max_bytes
    volume = injected(pod(), by=platform).plan.volumes[-1]
    assert volume["projected"]["sources"][-1]["secret"] == {
        "name": "telemetry-credentials",
        "items": [{"key": "api-key", "path": "telemetry-api-key"}],
        "optional": True,
    }


def test_the_containers_get_the_sidecars_address_and_no_credential() -> None:
    found = told(pod(), profile(exporter=EXPORTER, injection=RELAY))
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4327"
    assert found["OTEL_EXPORTER_OTLP_PROTOCOL"] == "http/protobuf"
    assert found["OTEL_TRACES_EXPORTER"] == "none"
    assert found["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"] == "delta"
    assert not {"DD_API_KEY", "OTEL_EXPORTER_OTLP_HEADERS"} & found.keys()


def test_telemetry_follows_a_sidecar_that_had_to_take_another_port() -> None:
    document = pod(container(ports=[{"containerPort": 4327}]))
    platform = profile(exporter=EXPORTER, injection=RELAY)
    port = sidecar_settings(platform, document).port
    assert port != 4327
    found = told(document, platform)
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://127.0.0.1:{port}"


def test_a_pod_without_a_sidecar_exports_to_the_collector() -> None:
    found = told(pod(hostNetwork=True), profile(exporter=EXPORTER, injection=RELAY))
    assert found["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://otel-collector.observability.svc:4318"


@pytest.mark.parametrize(
    ("exporter", "words"),
    [
        (EXPORTER.model_copy(update={"protocol": "grpc"}), "takes gRPC"),
        (EXPORTER.model_copy(update={"basic_auth": BasicAuth(username="a", password="${env:P}")}), "Basic credentials"),
        (EXPORTER.model_copy(update={"signal_endpoints": {"logs": "https://l/v1/logs"}}), "an address for each signal"),
        (EXPORTER.model_copy(update={"headers": {"A": "${env:LINEAGE_KEY}${env:DD_API_KEY}"}}), "one credential"),
    ],
    ids=["grpc", "basic", "several addresses", "two credentials"],
)
def test_what_a_sidecar_cannot_send_it_relays_to_the_collector_and_says_so(
    exporter: OTLPExporterConfig, words: str
) -> None:
    platform = profile(exporter=exporter, injection=RELAY)
    settings = sidecar_settings(platform)
    assert settings.telemetry_url == "http://otel-collector.observability.svc:4318"
    assert (settings.telemetry_headers, settings.telemetry_api_key_file) == ({}, None)
    assert any(words in notice and "sidecars relay to the collector" in notice for notice in platform.notices)


def test_before_a_collector_that_takes_grpc_only_pods_export_to_it_themselves() -> None:
    injection = {**RELAY, "collector": {"endpoint": "http://c:4317", "protocol": "grpc"}}
    platform = profile(exporter=EXPORTER.model_copy(update={"protocol": "grpc"}), injection=injection)
    assert sidecar_settings(platform).telemetry_url == ""
    assert told(pod(), platform)["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://c:4317"
    assert any("pods export to the collector" in notice for notice in platform.notices)


def test_without_a_sidecar_for_lineage_there_is_none_for_telemetry() -> None:
    platform = profile(transport=OpenLineageTransport(type="kafka"), exporter=EXPORTER, injection=RELAY)
    assert platform.sidecar is None
    assert any("there is no sidecar" in notice for notice in platform.notices)
