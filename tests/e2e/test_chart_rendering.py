"""What the real helm makes of the chart: least rights, restricted pods, no surprises; over several values files."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from floe_core.plugin_interfaces import LineageBackendPlugin
from floe_lineage_atlan.plugin import AtlanLineagePlugin
from floe_lineage_marquez.plugin import MarquezLineagePlugin
from floe_lineage_openmetadata.plugin import OpenMetadataLineagePlugin
from floe_sidecar.tokens import namespace_of
from tests.e2e.cluster.client import Manifest
from tests.e2e.helm import RELEASE_NAMESPACE, VALUES, Helm, Renderings
from tests.e2e.webhook_configuration import mutating_webhook_configuration

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-8")]

DEFAULTS: dict[str, Any] = {}
EVERYTHING, LEAST = VALUES / "everything.yaml", VALUES / "least.yaml"
FILES = sorted(VALUES.glob("*.yaml"))
each_values_file = pytest.mark.parametrize(
    "values", [DEFAULTS, *FILES], ids=lambda one: getattr(one, "stem", "defaults")
)

WORKLOADS = {"Deployment", "StatefulSet", "DaemonSet"}
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "PriorityClass",
}


@pytest.fixture(scope="module")
def render(tmp_path_factory: pytest.TempPathFactory) -> Renderings:
    """Renders values, without a cluster."""
    return Renderings(Helm(tmp_path_factory.mktemp("helm")))


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """Helm without a cluster."""
    return Helm(tmp_path)


def _of(objects: list[Manifest], kind: str) -> list[Manifest]:
    return [one for one in objects if one["kind"] == kind]


def _one(objects: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [one for one in _of(objects, kind) if one["metadata"]["name"] == name]
    return found


def _pods(objects: list[Manifest]) -> Iterator[Manifest]:
    yield from _of(objects, "Pod")
    for one in objects:
        if one["kind"] in WORKLOADS:
            yield one["spec"]["template"]


@pytest.mark.requirement("FP-17", "CC-3.1")
@each_values_file
def test_every_pod_meets_pod_security_restricted(render: Renderings, values: Path | dict[str, Any]) -> None:
    for pod in _pods(render(values)):
        of_the_pod = pod["spec"]["securityContext"]
        assert of_the_pod["runAsNonRoot"] is True
        assert of_the_pod["runAsUser"] == 65532
        assert of_the_pod["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]


@each_values_file
def test_only_the_webhook_gets_a_token_of_the_api_server(render: Renderings, values: Path | dict[str, Any]) -> None:
    for pod in _pods(render(values)):
        is_webhook = pod["metadata"]["labels"]["app.kubernetes.io/component"] == "webhook"
        assert pod["spec"]["automountServiceAccountToken"] is is_webhook


@each_values_file
def test_every_object_is_labelled_and_in_the_releases_namespace_or_a_listed_one(
    render: Renderings, values: Path | dict[str, Any]
) -> None:
    for one in render(values):
        assert one["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert one["metadata"]["labels"]["app.kubernetes.io/instance"] == "floe-injector"
        if one["kind"] in CLUSTER_WIDE:
            assert "namespace" not in one["metadata"]
        else:
            assert one["metadata"]["namespace"] in {RELEASE_NAMESPACE, "floe-injector-test", "injector-test"} | (
                {"sales", "finance"} if values == EVERYTHING else set()
            )


@each_values_file
def test_every_selector_finds_its_own_pods_alone(render: Renderings, values: Path | dict[str, Any]) -> None:
    objects = render(values)
    pods = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod["metadata"]["labels"] for pod in _pods(objects)
    }
    selecting = [one for one in objects if one["kind"] in {*WORKLOADS, "Service", "PodDisruptionBudget"}]

    for one in selecting:
        selector = one["spec"]["selector"]
        selector = selector.get("matchLabels", selector)
        chosen = [component for component, labels in pods.items() if selector.items() <= labels.items()]
        assert chosen == [one["metadata"]["labels"]["app.kubernetes.io/component"]]


@each_values_file
def test_no_service_puts_a_setting_of_the_sidecar_into_pods(render: Renderings, values: Path | dict[str, Any]) -> None:
    # A Service `floe-sidecar` would give each pod of its namespace FLOE_SIDECAR_PORT=tcp://….
    for service in _of(render(values), "Service"):
        assert not service["metadata"]["name"].startswith("floe-sidecar")


@pytest.mark.requirement("HOUSE-2", "FP-10", "FP-11")
@each_values_file
def test_the_configuration_is_the_one_that_was_proven_on_the_api_server(
    render: Renderings, values: Path | dict[str, Any]
) -> None:
    (rendered,) = _of(render(values), "MutatingWebhookConfiguration")
    name = rendered["metadata"]["name"]
    excluded = ["kube-system", "kube-node-lease", RELEASE_NAMESPACE, *(["ingress"] if values == EVERYTHING else [])]
    service = {"name": f"{name}-webhook", "namespace": RELEASE_NAMESPACE, "port": 443}

    expected = mutating_webhook_configuration(name, lambda path: {"service": service | {"path": path}}, excluded)

    assert rendered["webhooks"] == expected["webhooks"]
    assert rendered["metadata"]["annotations"] == {"admissions.enforcer/disabled": "true"}


@pytest.mark.requirement("FP-10", "FP-23")
def test_what_replicas_share_is_rendered_empty_for_its_leader_to_fill(render: Renderings) -> None:
    objects = render()

    assert _one(objects, "Secret", "floe-injector-webhook-certificate").keys() & {"data", "stringData"} == set()
    assert "spec" not in _one(objects, "Lease", "floe-injector-webhook")


@pytest.mark.requirement("FP-10")
def test_nothing_differs_between_two_renderings_if_the_keys_are_brought(helm: Helm) -> None:
    values = {"gateway": {"keysSecret": "brought"}}

    assert helm.template(values) == helm.template(values)


def test_the_manifest_is_the_values_with_the_releases_own_image_and_gateway(render: Renderings) -> None:
    rendered = _one(render(EVERYTHING), "ConfigMap", "floe-injector-manifest")["data"]["floe.yaml"]
    manifest = YAML(typ="safe", pure=True).load(rendered)

    assert manifest["metadata"]["name"] == "acme-data"
    assert manifest["injection"] == {
        "gateway": {"url": "http://floe-injector-gateway.floe-system.svc:5055"},
        "sidecar": {"image": "registry.example/floe-sidecar:1.2.3", "image_pull_policy": "IfNotPresent"},
    }


def test_the_manifests_own_words_about_the_sidecar_win(render: Renderings) -> None:
    values = {"manifest": {"injection": {"sidecar": {"image": "mine:1", "port": 4000}}}}

    rendered = _one(render(values), "ConfigMap", "floe-injector-manifest")["data"]["floe.yaml"]

    assert "image: mine:1" in rendered
    assert "port: 4000" in rendered


def test_an_image_is_named_by_its_digest_if_there_is_one(render: Renderings) -> None:
    webhook = _one(render(EVERYTHING), "Deployment", "floe-injector-webhook")["spec"]["template"]["spec"]

    assert webhook["containers"][0]["image"] == "registry.example/floe-webhook@sha256:" + "a" * 64
    assert webhook["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.requirement("HOUSE-7", "CC-2.3")
def test_credentials_become_the_manifests_secrets_in_every_listed_namespace(render: Renderings) -> None:
    secrets = [one for one in _of(render(EVERYTHING), "Secret") if one["metadata"]["name"] == "floe-lineage"]

    assert sorted(one["metadata"]["namespace"] for one in secrets) == ["finance", RELEASE_NAMESPACE, "sales"]
    assert {tuple(one["data"].items()) for one in secrets} == {(("api-key", "bm90LWEtcmVhbC1rZXk="),)}


@pytest.mark.requirement("FP-21", "CC-3.3")
def test_injected_pods_of_listed_namespaces_may_reach_gateway_collector_and_names(render: Renderings) -> None:
    policies = [one for one in _of(render(EVERYTHING), "NetworkPolicy") if one["spec"]["policyTypes"] == ["Egress"]]

    assert [one["metadata"]["namespace"] for one in policies] == ["sales", "finance"]
    ports = [[port["port"] for port in rule["ports"]] for rule in policies[0]["spec"]["egress"]]
    assert ports == [[53, 53], [5055], [4317, 4318], [5000]]
    assert policies[0]["spec"]["podSelector"] == {"matchLabels": {"floe.dev/injected": "true"}}


@pytest.mark.requirement("FP-21")
def test_the_webhooks_port_is_where_a_private_control_plane_reaches_it(render: Renderings) -> None:
    objects = render(LEAST)
    container, *_ = _one(objects, "Deployment", "floe-injector-webhook")["spec"]["template"]["spec"]["containers"]

    assert "--port=10250" in container["args"]
    assert {"name": "https", "containerPort": 10250} in container["ports"]
    assert _one(objects, "Service", "floe-injector-webhook")["spec"]["ports"][0]["targetPort"] == "https"


def test_each_optional_part_is_left_out_if_it_is_not_asked_for(render: Renderings) -> None:
    kinds = {one["kind"] for one in render(LEAST)}

    assert kinds == {
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "Deployment",
        "Lease",
        "MutatingWebhookConfiguration",
        "Namespace",  # of `helm test`
        "Pod",
        "Role",
        "RoleBinding",
        "Secret",
        "Service",
        "ServiceAccount",
    }


@pytest.mark.requirement("HOUSE-4")
@pytest.mark.parametrize(
    ("kind", "plugin"),
    [
        pytest.param("marquez", MarquezLineagePlugin, id="Marquez"),
        pytest.param("openmetadata", OpenMetadataLineagePlugin, id="OpenMetadata"),
        pytest.param("atlan", AtlanLineagePlugin, id="Atlan"),
    ],
)
def test_the_gateway_delivers_where_the_backends_plugin_does(
    render: Renderings, kind: str, plugin: type[LineageBackendPlugin]
) -> None:
    config = {"url": "https://lineage.acme.example"}
    transport = plugin.from_mapping(config).get_transport_config("production")

    backend = {"type": kind, "config": config}
    environment = _gateway_environment(render({"manifest": {"plugins": {"lineage_backend": backend}}}))

    assert environment["FLOE_SIDECAR_LINEAGE_URL"] == transport.url
    assert environment["FLOE_SIDECAR_LINEAGE_ENDPOINT"] == transport.endpoint


@pytest.mark.requirement("HOUSE-4")
def test_the_gateways_shares_follow_from_its_volume_and_settings_win(render: Renderings) -> None:
    values = {"gateway": {"volume": {"size": "1Gi"}, "settings": {"LINEAGE_CONCURRENCY": "4"}}}

    environment = _gateway_environment(render(values))

    assert environment["FLOE_SIDECAR_ROLE"] == "gateway"
    assert environment["FLOE_SIDECAR_SPOOL_MAX_BYTES"] == str(768 * 1024**2)
    assert environment["FLOE_SIDECAR_LINEAGE_CONCURRENCY"] == "4"


def _gateway_environment(objects: list[Manifest]) -> dict[str, str]:
    pod = _one(objects, "StatefulSet", "floe-injector-gateway")["spec"]["template"]["spec"]
    return {variable["name"]: variable["value"] for variable in pod["containers"][0]["env"]}


@pytest.mark.requirement("FP-24", "HOUSE-11")
def test_a_replica_serves_on_long_enough_and_an_update_never_has_too_few(render: Renderings) -> None:
    deployment = _one(render(), "Deployment", "floe-injector-webhook")["spec"]
    pod = deployment["template"]["spec"]

    assert deployment["strategy"] == {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert "--drain-seconds=10" in pod["containers"][0]["args"]
    assert pod["terminationGracePeriodSeconds"] >= 20
    assert _one(render(), "PodDisruptionBudget", "floe-injector-webhook")["spec"]["maxUnavailable"] == 1


@pytest.mark.requirement("HOUSE-3", "HOUSE-7")
def test_the_webhooks_token_for_the_gateway_follows_the_keys_which_the_webhook_never_sees(
    render: Renderings, tmp_path: Path
) -> None:
    pod = _one(render({}), "Deployment", "floe-injector-webhook")["spec"]["template"]["spec"]
    webhook, issuer = pod["containers"]
    keys, token = tmp_path / "gateway-keys" / "keys", tmp_path / "gateway" / "token"
    for file in (keys, token):
        file.parent.mkdir()
    arguments = [
        argument.replace("/var/run/floe", str(tmp_path)).replace("$(FLOE_RELEASE_NAMESPACE)", "floe-system")
        for argument in (*issuer["command"][1:], *issuer["args"])
    ]

    keys.write_text("k" * 32)
    process = subprocess.Popen([sys.executable, *arguments])
    try:
        deadline = time.monotonic() + 60
        while not token.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.terminate()
        process.wait(60)

    assert process.returncode == 0
    assert namespace_of(token.read_text(), ["k" * 32]) == "floe-system"
    assert "gateway-keys" not in {mount["name"] for mount in webhook["volumeMounts"]}
    assert {mount["name"]: mount.get("readOnly") for mount in webhook["volumeMounts"]}["gateway-token"] is True
    assert f"--gateway-token-file={issuer['args'][1].removeprefix('--keep=')}" in webhook["args"]
