"""Every object of the chart, judged by a real API server: known kinds, known fields, no warning."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.cluster.definitions import CERT_MANAGER_KINDS, PROMETHEUS_OPERATOR_KINDS, install
from tests.e2e.helm import RELEASE_NAMESPACE, VALUES, Helm

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-8", "FP-7")]

NAMESPACES = (RELEASE_NAMESPACE, "sales", "finance", "floe-injector-test", "injector-test")


@pytest.fixture(scope="module")
def ready(test_cluster: Cluster, kubernetes: KubernetesClient) -> Path:
    """The kubeconfig of a cluster that has the namespaces, service accounts and operators' kinds that are asked for."""
    if not test_cluster.is_ours:
        pytest.skip("an existing cluster is used: namespaces of these names may be somebody's")
    for name in NAMESPACES:
        kubernetes.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        kubernetes.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        )
    for definitions in (CERT_MANAGER_KINDS, PROMETHEUS_OPERATOR_KINDS):
        install(test_cluster, definitions)
    return test_cluster.kubeconfig


@pytest.mark.parametrize(
    "values", [{}, *sorted(VALUES.glob("*.yaml"))], ids=lambda one: getattr(one, "stem", "defaults")
)
def test_the_api_server_takes_every_object_with_every_field(
    values: Path | dict[str, Any], ready: Path, tmp_path: Path
) -> None:
    objects = Helm(tmp_path).template(values)
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    command = [str(program("kubectl")), f"--kubeconfig={ready}", "apply", "--filename=-", "--server-side"]

    taken = run([*command, "--dry-run=server", "--validate=strict"], standard_input=everything)

    assert taken.count("serverside-applied (server dry run)") == len(objects)
