"""Helm values of the telemetry plugins: whatever is configured, chart and Collector can use them."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_core.credentials import SecretKey, names_in
from floe_core.errors import ConfigurationError
from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces.collector_values import CollectorSettings, collector_values
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_core.plugin_interfaces.telemetry import OTLPExporterConfig
from floe_core.testing.artifacts import sample_artifacts
from floe_core.testing.collector import collector_problems
from floe_core.testing.hardcoded import hardcoded_credentials

pytestmark = pytest.mark.requirement("REQ-053")

BACKENDS: Mapping[str, Mapping[str, Any]] = {
    "jaeger": {},
    "datadog": {"site": "us5.datadoghq.com"},
    "grafana-cloud": {"zone": "prod-eu-west-2"},
}
each_backend = pytest.mark.parametrize("backend", BACKENDS)

_QUEUES = st.fixed_dictionaries(
    {}, optional={"volume_mebibytes": st.integers(64, 2**20), "storage_class": st.sampled_from(["fast", "slow"])}
)
COLLECTORS = st.fixed_dictionaries(
    {}, optional={"legacy_exporter_names": st.booleans(), "durable_queue": st.none() | _QUEUES}
)
CONFIGS = st.one_of(
    st.tuples(st.just("jaeger"), st.fixed_dictionaries({}, optional={"insecure": st.booleans()})),
    st.tuples(
        st.just("datadog"),
        st.fixed_dictionaries(
            {},
            optional={
                "traces": st.booleans(),
                "endpoint": st.sampled_from(["https://otlp.acme.example", "http://127.0.0.1:8126/dd/"]),
                "api_key_variable": st.sampled_from(["DD_API_KEY", "TEAM_KEY"]),
            },
        ),
    ),
    st.tuples(st.just("grafana-cloud"), st.fixed_dictionaries({"zone": st.sampled_from(["prod-us-east-0", "eu"])})),
)


def values_of(
    backend: str, config: Mapping[str, Any] | None = None, *, credentials: Mapping[str, SecretKey] | None = None
) -> dict[str, Any]:
    """Values as `floe helm-values telemetry` has them from the plugin."""
    choice = PluginChoice(type=backend, config=dict(BACKENDS[backend] if config is None else config))
    plugin = PluginRegistry().create(PluginKind.TELEMETRY_BACKEND, choice)
    artifacts = sample_artifacts().model_copy(update={"credentials": dict(credentials or {})})
    return plugin.get_helm_values(artifacts, "production")


def durable(backend: str, **queue: object) -> dict[str, Any]:
    return values_of(backend, {**BACKENDS[backend], "collector": {"durable_queue": queue}})


def only_exporter(values: Mapping[str, Any]) -> dict[str, Any]:
    (exporter,) = values["config"]["exporters"].values()
    assert isinstance(exporter, dict)
    return exporter


@given(CONFIGS, COLLECTORS)
@settings(deadline=None, max_examples=25)  # the schema is compiled each time
def test_whatever_is_configured_the_chart_accepts_it_without_a_credential(
    backend: tuple[str, dict[str, Any]], collector: dict[str, Any]
) -> None:
    name, config = backend

    values = values_of(name, {**config, "collector": collector})

    assert collector_problems(values) == []
    assert hardcoded_credentials(values) == []
    assert {entry["name"] for entry in values.get("extraEnvs", [])} == set(names_in(values["config"]))


@each_backend
def test_the_chart_gets_the_three_things_that_it_insists_on(backend: str) -> None:
    values = values_of(backend)

    assert values["mode"] == "deployment"
    assert values["image"] == {"repository": "otel/opentelemetry-collector-k8s"}
    assert "health_check" in values["config"]["service"]["extensions"]


@each_backend
def test_memory_is_limited_before_anything_else_and_batches_are_cut_last(backend: str) -> None:
    values = values_of(backend)

    for pipeline in values["config"]["service"]["pipelines"].values():
        assert (pipeline["processors"][0], pipeline["processors"][-1]) == ("memory_limiter", "batch")
    assert values["resources"]["limits"] == {"memory": "512Mi"}


@each_backend
def test_addresses_are_left_to_the_chart(backend: str) -> None:
    config = values_of(backend)["config"]

    assert config["receivers"] == {"otlp": {"protocols": {"grpc": {}, "http": {}}}}
    assert config["extensions"]["health_check"] == {}


@each_backend
def test_nothing_is_given_up_after_five_minutes(backend: str) -> None:
    exporter = only_exporter(values_of(backend))

    assert exporter["retry_on_failure"] == {"max_elapsed_time": "0s"}
    assert exporter["sending_queue"]["queue_size"] == 64 * 2**20


@pytest.mark.parametrize(("backend", "limit"), [("jaeger", 4 * 2**20), ("datadog", 3_200_000)])
def test_requests_are_cut_below_what_the_backend_takes(backend: str, limit: int) -> None:
    for values in (values_of(backend), durable(backend)):
        batch = only_exporter(values)["sending_queue"]["batch"]
        assert batch["sizer"] == "bytes"
        assert 0 < batch["max_size"] < limit


@each_backend
def test_no_volume_is_claimed_unless_it_is_asked_for(backend: str) -> None:
    values = values_of(backend)

    assert {"statefulset", "extraVolumeMounts", "podSecurityContext"}.isdisjoint(values)
    assert "file_storage" not in values["config"]["extensions"]


@each_backend
def test_a_durable_queue_is_on_a_volume_that_outlives_the_pod(backend: str) -> None:
    values = durable(backend, volume_mebibytes=1024, storage_class="fast", directory="/queue")

    (claim,) = values["statefulset"]["volumeClaimTemplates"]
    assert values["mode"] == "statefulset"
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1024Mi"}},
        "storageClassName": "fast",
    }
    assert values["extraVolumeMounts"] == [{"name": claim["metadata"]["name"], "mountPath": "/queue"}]
    assert values["podSecurityContext"] == {"fsGroup": 10001}


@each_backend
def test_a_durable_queue_is_synced_and_nothing_waits_in_memory_before_it(backend: str) -> None:
    config = durable(backend)["config"]

    storage = config["extensions"]["file_storage"]
    assert storage["fsync"] is True
    assert "file_storage" in config["service"]["extensions"]
    assert all("batch" not in pipeline["processors"] for pipeline in config["service"]["pipelines"].values())


@each_backend
def test_the_queues_of_all_signals_fit_the_volume_together(backend: str) -> None:
    values = durable(backend, volume_mebibytes=1000)

    queue = only_exporter(values)["sending_queue"]
    assert queue["storage"] == "file_storage"
    signals = len(values["config"]["service"]["pipelines"])
    assert 700 * 2**20 < queue["queue_size"] * signals <= 750 * 2**20


@each_backend
def test_an_older_collector_gets_the_older_names(backend: str) -> None:
    values = values_of(backend, {**BACKENDS[backend], "collector": {"legacy_exporter_names": True}})

    (name,) = values["config"]["exporters"]
    assert name.partition("/")[0] in {"otlp", "otlphttp"}


@pytest.mark.requirement("REQ-053", "HOUSE-7")
def test_a_credential_that_the_platform_keeps_elsewhere_comes_from_there() -> None:
    elsewhere = {"GRAFANA_CLOUD_API_KEY": SecretKey("observability", "token"), "OTHER": SecretKey("other", "key")}

    values = values_of("grafana-cloud", credentials=elsewhere)

    assert [entry["valueFrom"]["secretKeyRef"] for entry in values["extraEnvs"]] == [
        {"name": "observability", "key": "token"},
        {"name": "grafana-cloud-credentials", "key": "GRAFANA_CLOUD_INSTANCE_ID"},
    ]


def test_a_backend_without_credentials_asks_for_no_secret() -> None:
    assert "extraEnvs" not in values_of("jaeger")


@pytest.mark.requirement("REQ-053", "HOUSE-7")
def test_a_credential_that_no_secret_holds_is_an_error_that_names_it() -> None:
    exporter = OTLPExporterConfig(
        endpoint="https://otel.acme.example", protocol="http/protobuf", headers={"acme-key": "${env:ACME_KEY}"}
    )

    with pytest.raises(ConfigurationError, match="ACME_KEY"):
        collector_values("acme", exporter, CollectorSettings())
