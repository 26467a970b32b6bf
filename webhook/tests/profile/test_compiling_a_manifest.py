"""What a manifest and its plugins' answers become: targets, the sidecar's delivery, and notices of what cannot be."""

import json

import pytest

from floe_core.credentials import SecretKey
from floe_core.errors import ConfigurationError, PluginExecutionError
from floe_core.plugin_interfaces.lineage import OpenLineageTransport
from floe_core.plugin_interfaces.telemetry import BasicAuth, OTLPExporterConfig
from floe_sidecar.settings import Settings
from floe_webhook.decision import Outcome
from floe_webhook.profile import compile_profile
from floe_webhook.reasons import Reason
from floe_webhook.sidecar_container import is_guaranteed
from floe_webhook.targets import local_telemetry, split_url
from webhook.tests.builders import SomeLineageBackend, container, injected, manifest, pod, profile

API_KEY = {"type": "api_key", "apiKey": "${env:LINEAGE_KEY}"}


@pytest.mark.requirement("HOUSE-4", "REQ-057")
@pytest.mark.parametrize(
    ("url", "endpoint", "expected"),
    [
        ("http://h:5000", "api/v1/lineage", ("http://h:5000", "api/v1/lineage")),
        ("http://h/base/", "api/v1/lineage", ("http://h", "base/api/v1/lineage")),
        ("http://h/base", "api/v1/lineage", ("http://h", "api/v1/lineage")),
        ("http://h/base/", "/absolute", ("http://h", "absolute")),
        ("http://h", "e?x=1", ("http://h", "e?x=1")),
    ],
)
def test_a_backends_address_is_split_as_the_client_joins_it(url: str, endpoint: str, expected: tuple[str, str]) -> None:
    assert split_url(OpenLineageTransport(url=url, endpoint=endpoint)) == expected


@pytest.mark.requirement("HOUSE-4", "HOUSE-7")
def test_the_sidecar_is_told_in_its_own_words_and_gets_its_key_as_a_file() -> None:
    found = injected(pod()).plan
    assert found.sidecar is not None
    values = {entry["name"]: entry.get("value", "") for entry in found.sidecar["env"]}
    settings = Settings.from_environment(values)
    assert settings.lineage_url == "https://lineage.example"
    assert settings.lineage_endpoint == "base/api/v1/lineage"
    assert str(settings.lineage_api_key_file) == "/var/run/floe/credentials/lineage-api-key"
    assert settings.spool_max_bytes < 256 * 2**20
    assert found.volumes[-1]["secret"] == {
        "secretName": "lineage-credentials",
        "items": [{"key": "token", "path": "lineage-api-key"}],
        "defaultMode": 420,
        "optional": True,
    }
    assert all("subPath" not in mount for mount in found.sidecar["volumeMounts"])


@pytest.mark.requirement("HOUSE-5", "HOUSE-7")
def test_the_sidecar_is_told_of_the_gateway_and_gets_its_token_as_a_file_beside_the_key() -> None:
    platform = profile(injection={"gateway": {"url": "http://floe-gateway.floe:5055/ignored"}})
    found = injected(pod(), by=platform).plan
    assert found.sidecar is not None
    settings = Settings.from_environment({entry["name"]: entry.get("value", "") for entry in found.sidecar["env"]})
    assert settings.gateway_url == "http://floe-gateway.floe:5055"
    assert str(settings.gateway_token_file) == "/var/run/floe/credentials/gateway-token"
    assert str(settings.lineage_api_key_file) == "/var/run/floe/credentials/lineage-api-key"
    key, token = found.volumes[-1]["projected"]["sources"]
    assert key["secret"]["name"] == "lineage-credentials"
    assert token["secret"] == {
        "name": "floe-gateway-token",
        "items": [{"key": "token", "path": "gateway-token"}],
        "optional": True,
    }


@pytest.mark.requirement("HOUSE-7")
def test_a_key_in_a_header_reaches_the_sidecar_as_a_placeholder() -> None:
    transport = OpenLineageTransport(url="http://b", headers={"X-Key": "${env:LINEAGE_KEY}", "X-Tenant": "a"})
    found = profile(transport=transport)
    assert found.sidecar is not None
    values = {variable.name: variable.entry["value"] for variable in found.sidecar.delivery.variables}
    # Kubernetes turns `$$` into `$`.
    headers = json.loads(values["FLOE_SIDECAR_LINEAGE_HEADERS"].replace("$$", "$"))
    assert headers == {"X-Key": "${api_key}", "X-Tenant": "a"}


@pytest.mark.requirement("HOUSE-3", "REQ-527")
@pytest.mark.parametrize(
    ("transport", "words"),
    [
        (OpenLineageTransport(type="kafka"), "over http only"),
        (OpenLineageTransport(url="http://b", auth={"type": "oauth2", "clientId": "x"}), "one credential"),
        (OpenLineageTransport(url="http://b", auth=API_KEY, headers={"X": "${env:DD_API_KEY}"}), "one credential"),
    ],
    ids=["kafka", "oauth2", "two credentials"],
)
def test_a_backend_that_the_sidecar_cannot_deliver_to_means_no_sidecar(
    transport: OpenLineageTransport, words: str
) -> None:
    found = profile(transport=transport)
    assert found.sidecar is None
    assert any(words in notice for notice in found.notices)
    decision = injected(pod(), by=found).plan.decision
    assert decision.outcome is Outcome.ENVIRONMENT_ONLY
    assert Reason.NOTHING_TO_RELAY in decision.reasons


@pytest.mark.requirement("HOUSE-4", "HOUSE-7", "REQ-052")
def test_direct_telemetry_goes_to_the_backend_with_a_secret_reference() -> None:
    exporter = OTLPExporterConfig(
        endpoint="otlp.example:4317",
        protocol="grpc",
        headers={"dd-api-key": "${env:DD_API_KEY}", "x-note": "a,b"},
        signals=("metrics", "logs"),
        signal_endpoints={"logs": "https://logs.example/v1/logs"},
        metrics_temporality="delta",
    )
    target = profile(exporter=exporter, injection={"telemetry": "direct"}).telemetry_with_sidecar
    assert target is not None
    assert {variable.name: variable.shown for variable in target.variables} == {
        "DD_API_KEY": "<Secret telemetry-credentials, key api-key, optional>",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://otlp.example:4317",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_HEADERS": "dd-api-key=$(DD_API_KEY),x-note=a%2Cb",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://logs.example/v1/logs",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
    }


@pytest.mark.requirement("HOUSE-4", "HOUSE-3")
def test_basic_credentials_cannot_be_encoded_so_pods_export_to_the_collector() -> None:
    basic = BasicAuth(username="a", password="${env:P}")
    exporter = OTLPExporterConfig(endpoint="https://g", protocol="http/protobuf", basic_auth=basic)
    found = profile(exporter=exporter, injection={"telemetry": "direct"})
    assert found.telemetry_with_sidecar == profile().telemetry_with_sidecar
    assert any("injection.telemetry is direct" in notice for notice in found.notices)


@pytest.mark.requirement("HOUSE-4")
def test_telemetry_through_the_sidecar_stays_in_the_pod() -> None:
    values = [variable.entry["value"] for variable in local_telemetry(4400).variables]
    assert values == ["http://127.0.0.1:4400", "http/protobuf"]


@pytest.mark.requirement("HOUSE-7", "HOUSE-8")
def test_a_credential_that_the_manifest_maps_to_no_secret_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigurationError) as error:
        profile(credentials={})
    assert error.value.details == {"variable": "LINEAGE_KEY"}


@pytest.mark.requirement("HOUSE-7", "HOUSE-8")
def test_a_plugins_own_secret_holds_its_credentials_by_name() -> None:
    plugins = {"lineage_backend": {"type": "some-lineage", "connection_secret_ref": "marquez"}}
    found = profile(credentials={}, plugins=plugins)
    assert found.sidecar is not None
    assert found.sidecar.delivery.files == {"lineage-api-key": SecretKey("marquez", "LINEAGE_KEY")}


@pytest.mark.requirement("CC-5.1", "REQ-056")
def test_a_plugin_that_fails_is_named() -> None:
    class Failing(SomeLineageBackend):
        def get_transport_config(self, _environment: str) -> OpenLineageTransport:
            raise RuntimeError("broken")

    with pytest.raises(PluginExecutionError) as error:
        compile_profile(manifest(), telemetry=None, lineage=Failing())
    assert error.value.plugin == "some-lineage"


@pytest.mark.requirement("FP-30", "HOUSE-3")
def test_the_sidecar_moves_away_from_a_declared_port_and_everybody_is_told() -> None:
    document = pod(container(ports=[{"containerPort": 4327}, {"containerPort": 4328}]))
    found = injected(document).plan
    assert found.sidecar is not None
    ports = {entry["name"]: entry["value"] for entry in found.sidecar["env"] if entry["name"].endswith("PORT")}
    assert ports == {"FLOE_SIDECAR_PORT": "4329", "FLOE_SIDECAR_HEALTH_PORT": "4330"}
    told = {variable.name: variable.shown for variable in found.containers[0].environment.variables}
    assert told["OPENLINEAGE_URL"] == "http://127.0.0.1:4329"
    assert found.decision.reasons == (Reason.PORT_MOVED,)


@pytest.mark.requirement("INV-9", "FP-18")
def test_a_guaranteed_pods_sidecar_requests_what_it_is_limited_to() -> None:
    amount = {"cpu": "1", "memory": "1Gi"}
    document = pod(container(resources={"limits": amount}))
    assert is_guaranteed(document)
    found = injected(document).plan.sidecar
    assert found is not None
    assert found["resources"]["requests"] == found["resources"]["limits"] == {"cpu": "250m", "memory": "64Mi"}


@pytest.mark.requirement("INV-9", "FP-18")
def test_other_pods_sidecars_request_little() -> None:
    found = injected(pod()).plan.sidecar
    assert found is not None
    assert found["resources"]["requests"] == {"cpu": "10m", "memory": "48Mi"}


@pytest.mark.requirement("INV-2")
def test_a_pod_with_a_budget_of_its_own_is_not_asked_for_more() -> None:
    found = injected(pod(resources={"limits": {"cpu": "1", "memory": "1Gi"}})).plan.sidecar
    assert found is not None
    assert found["resources"] == {}


@pytest.mark.requirement("HOUSE-5", "FP-2", "FP-5")
@pytest.mark.parametrize(("grace", "seconds"), [(None, "20"), (60, "20"), (10, "5"), (3, "1.5"), (0, "0.5")])
def test_the_sidecar_ends_within_the_pods_grace_period(grace: int | None, seconds: str) -> None:
    document = pod(terminationGracePeriodSeconds=grace)
    found = injected(document).plan.sidecar
    assert found is not None
    values = {entry["name"]: entry.get("value", "") for entry in found["env"]}
    assert values["FLOE_SIDECAR_SHUTDOWN_SECONDS"] == seconds


@pytest.mark.requirement("HOUSE-3", "FP-5")
def test_the_sidecar_has_no_probe_that_could_hold_a_pod_up_and_no_token() -> None:
    found = injected(pod()).plan.sidecar
    assert found is not None
    assert not [key for key in found if key.endswith("Probe")]
    paths = {mount["mountPath"]: mount["name"] for mount in found["volumeMounts"]}
    assert paths["/var/run/secrets/kubernetes.io/serviceaccount"] == "floe-no-token"
