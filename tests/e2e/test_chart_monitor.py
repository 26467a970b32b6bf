"""The monitor's part of the chart, as the real helm renders it."""

import re
from pathlib import Path
from typing import Any

import pytest

from floe_sidecar.settings import DEFAULT_HEALTH_PORT
from tests.e2e.cluster.client import Manifest
from tests.e2e.cluster.commands import CommandError
from tests.e2e.helm import VALUES, Helm, Renderings

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FR-001", "HOUSE-8")]

NAME = "floe-injector-monitor"
EVERYTHING, EMBEDDED = VALUES / "everything.yaml", VALUES / "monitor-with-a-volume.yaml"
LINEAGE: dict[str, Any] = {
    "plugins": {"lineage_backend": {"type": "marquez", "config": {"url": "http://marquez.lineage.svc:5000"}}}
}
WITH_LINEAGE: dict[str, Any] = {
    "monitor": {"enabled": True, "database": {"secret": "floe-database"}},
    "manifest": LINEAGE,
}

WITHOUT_LINEAGE: dict[str, Any] = {"monitor": WITH_LINEAGE["monitor"], "networkPolicy": {"enabled": True}}


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Renderings:
    """Renders values, without a cluster."""
    return Renderings(Helm(tmp_path_factory.mktemp("helm")))


def _one(objects: list[Manifest], kind: str, name: str = NAME) -> Manifest:
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def _container(pod: Manifest, name: str) -> Manifest:
    containers: list[Manifest] = [*pod.get("initContainers", []), *pod["containers"]]
    (found,) = [one for one in containers if one["name"] == name]
    return found


def _environment(container: Manifest) -> dict[str, Any]:
    variables: list[Manifest] = container.get("env", [])
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in variables}


@pytest.mark.requirement("HOUSE-11")
def test_replicas_on_a_postgresql_are_replaced_one_by_one_the_new_one_first(render: Renderings) -> None:
    deployment = _one(render(EVERYTHING), "Deployment")
    monitor = _container(deployment["spec"]["template"]["spec"], "monitor")

    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["strategy"] == {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert _environment(monitor)["FLOE_MONITOR_DATABASE_URL"] == {
        "secretKeyRef": {"name": "floe-database", "key": "url"}
    }
    assert not any(argument.startswith("--data-dir") for argument in monitor["args"])
    assert _one(render(EVERYTHING), "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


@pytest.mark.requirement("FR-004")
def test_the_registrys_api_is_on_where_a_secret_has_its_tokens(render: Renderings) -> None:
    with_tokens = {"monitor": {**WITH_LINEAGE["monitor"], "api": {"secret": "registry-tokens"}}}

    pod = _one(render(with_tokens), "Deployment")["spec"]["template"]["spec"]
    monitor = _container(pod, "monitor")

    assert "--api-token-file=/var/run/floe/api/tokens" in monitor["args"]
    assert {"name": "api-tokens", "mountPath": "/var/run/floe/api", "readOnly": True} in monitor["volumeMounts"]
    (volume,) = [one for one in pod["volumes"] if one["name"] == "api-tokens"]
    assert volume["secret"] == {"secretName": "registry-tokens", "items": [{"key": "tokens", "path": "tokens"}]}
    without = _container(_one(render(WITH_LINEAGE), "Deployment")["spec"]["template"]["spec"], "monitor")
    assert not any(argument.startswith("--api-token-file") for argument in without["args"])


@pytest.mark.requirement("HOUSE-10")
def test_one_replica_may_keep_its_database_in_a_volume(render: Renderings) -> None:
    stateful = _one(render(EMBEDDED), "StatefulSet")["spec"]
    pod = stateful["template"]["spec"]
    monitor = _container(pod, "monitor")

    assert stateful["replicas"] == 1
    assert "--data-dir=/var/lib/floe/monitor" in monitor["args"]
    assert {"name": "database", "mountPath": "/var/lib/floe"} in monitor["volumeMounts"]
    assert "FLOE_MONITOR_DATABASE_URL" not in _environment(monitor)
    (claim,) = stateful["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert stateful["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Delete", "whenScaled": "Retain"}


@pytest.mark.parametrize(
    ("monitor", "told"),
    [
        pytest.param({}, "monitor.database.secret", id="no database"),
        pytest.param(
            {"database": {"secret": "x", "volume": {"enabled": True}}}, "both are given", id="a PostgreSQL and a volume"
        ),
        pytest.param(
            {"replicas": 2, "database": {"volume": {"enabled": True}}}, "monitor.replicas", id="two on one volume"
        ),
    ],
)
def test_a_database_that_cannot_work_is_refused_with_the_value_to_set(
    tmp_path: Path, monitor: dict[str, Any], told: str
) -> None:
    with pytest.raises(CommandError, match=re.escape(told)):
        Helm(tmp_path).template({"monitor": {"enabled": True} | monitor})


@pytest.mark.requirement("HOUSE-4", "FR-023")
def test_lineage_goes_through_a_sidecar_that_starts_before_and_ends_after_the_monitor(render: Renderings) -> None:
    pod = _one(render(WITH_LINEAGE), "Deployment")["spec"]["template"]["spec"]
    sidecar = _container(pod, "floe-sidecar")
    environment = _environment(sidecar)

    assert "--lineage-url=http://127.0.0.1:4327" in _container(pod, "monitor")["args"]
    assert sidecar["restartPolicy"] == "Always"  # native: it is up before the monitor, and ends after it
    assert sidecar["startupProbe"]["httpGet"]["port"] == "floe-health"
    assert environment["FLOE_SIDECAR_LINEAGE_URL"] == "http://marquez.lineage.svc:5000"
    assert environment["FLOE_SIDECAR_GATEWAY_URL"] == "http://floe-injector-gateway.floe-system.svc:5055"
    assert float(environment["FLOE_SIDECAR_SHUTDOWN_SECONDS"]) < pod["terminationGracePeriodSeconds"] / 2


@pytest.mark.requirement("HOUSE-7")
def test_the_sidecar_knows_the_backends_key_as_a_file_and_the_monitor_does_not(render: Renderings) -> None:
    pod = _one(render(EVERYTHING), "Deployment")["spec"]["template"]["spec"]

    assert _environment(_container(pod, "floe-sidecar"))["FLOE_SIDECAR_LINEAGE_API_KEY_FILE"].startswith(
        "/var/run/floe"
    )
    assert "credentials" in {one["name"] for one in _container(pod, "floe-sidecar")["volumeMounts"]}
    assert "credentials" not in {one["name"] for one in _container(pod, "monitor")["volumeMounts"]}


@pytest.mark.parametrize(
    ("values", "more"),
    [
        pytest.param({"manifest": {}}, (), id="no lineage backend"),
        pytest.param({"monitor": WITH_LINEAGE["monitor"] | {"sidecar": {"enabled": False}}}, (), id="switched off"),
        pytest.param({}, ("--kube-version=1.28.0",), id="a Kubernetes without native sidecars"),
    ],
)
def test_without_a_sidecar_the_monitor_sends_lineage_itself(
    tmp_path: Path, values: dict[str, Any], more: tuple[str, ...]
) -> None:
    pod = _one(Helm(tmp_path).template(WITH_LINEAGE | values, *more), "Deployment")["spec"]["template"]["spec"]

    assert "initContainers" not in pod
    assert not any(argument.startswith("--lineage-url") for argument in _container(pod, "monitor")["args"])


@pytest.mark.requirement("CC-3.3")
def test_the_gateway_takes_what_the_releases_own_pods_send(render: Renderings) -> None:
    policy = _one(render(EVERYTHING), "NetworkPolicy", "floe-injector-gateway")
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in render(EVERYTHING) if one["kind"] == "Deployment"]
    (lineage,) = [rule for rule in policy["spec"]["ingress"] if rule["ports"][0]["port"] == "lineage"]
    own = [peer["podSelector"]["matchLabels"] for peer in lineage["from"] if "namespaceSelector" not in peer]

    assert len(pods) == 2
    for labels in pods:  # the webhook's leader, and the sidecar beside the monitor
        assert any(selector.items() <= labels.items() for selector in own)


@pytest.mark.requirement("CC-3.3")
@pytest.mark.parametrize(
    ("values", "ports"),
    [
        pytest.param(EVERYTHING, ["health", DEFAULT_HEALTH_PORT], id="with a sidecar"),
        pytest.param(WITHOUT_LINEAGE, ["health"], id="without one"),
    ],
)
def test_the_monitor_is_reached_for_probes_and_scrapes_alone(
    render: Renderings, values: Path | dict[str, Any], ports: list[str | int]
) -> None:
    policy = _one(render(values), "NetworkPolicy")["spec"]

    assert policy["policyTypes"] == ["Ingress"]
    assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": port} for port in ports]}]


@pytest.mark.requirement("CC-1.4")
def test_prometheus_finds_the_monitors_service(render: Renderings) -> None:
    objects = render(EVERYTHING)
    monitor = _one(objects, "ServiceMonitor", "floe-injector")["spec"]
    service = _one(objects, "Service")

    (expression,) = monitor["selector"]["matchExpressions"]
    assert service["metadata"]["labels"][expression["key"]] in expression["values"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


@pytest.mark.requirement("CC-1.4")
def test_alerts_of_the_monitor_ask_its_own_job(render: Renderings) -> None:
    (group,) = _one(render(EMBEDDED), "PrometheusRule")["spec"]["groups"]

    for rule in group["rules"]:
        jobs = set(re.findall(r'job="([^"]+)"', rule["expr"]))
        assert jobs == {NAME}, rule["alert"]


def test_people_are_told_that_the_monitor_needs_a_compute(tmp_path: Path) -> None:
    bare = {"monitor": {"enabled": True, "database": {"secret": "x"}}}
    with_one = bare | {"manifest": {"plugins": {"compute": {"type": "duckdb", "config": {"path": "/w.duckdb"}}}}}

    assert "set manifest.plugins.compute" in Helm(tmp_path).notes(bare)
    assert "set manifest.plugins.compute" not in Helm(tmp_path).notes(with_one)
