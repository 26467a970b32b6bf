"""`floe queue pod/NAME` on a real node: through the API server and the kubelet into a sidecar's container and back."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from floe_core.cli.main import floe
from tests.e2e.admission import Namespace, create_namespace
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.images import image_name
from tests.e2e.cluster.node import Node

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-2", "RELAY-4")]

START_SECONDS = 90

POST = """
import json, time, urllib.request
for number in range(50):
    try:
        for event in range(3):
            body = json.dumps({"eventTime": "2026-11-21T10:00:00Z", "eventType": "OTHER", "job": {"namespace": "n",
                "name": "j"}, "run": {"runId": "0193a000-0000-7000-8000-000000000001"}, "producer": "x",
                "schemaURL": "x", "number": event}).encode()
            urllib.request.urlopen("http://127.0.0.1:4327/api/v1/lineage", body, 5)
        break
    except OSError:
        time.sleep(0.2)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def client(node: Node) -> Iterator[KubernetesClient]:
    """An administrator's client of the node's cluster."""
    with node.cluster.client() as administrator:
        yield administrator


@pytest.fixture
def home(client: KubernetesClient) -> Iterator[Namespace]:
    """A namespace of the test's own."""
    namespace = create_namespace(client, {})
    try:
        yield namespace
    finally:
        client.delete(namespace.manifest)


def pod_with_a_relay(namespace: str) -> dict[str, object]:
    """A sidecar whose backend is dead, and an application that has posted three events."""
    image = image_name("sidecar")
    spool = [{"name": "spool", "mountPath": "/spool"}]
    variables = {"SPOOL_DIRECTORY": "/spool", "LINEAGE_URL": "http://127.0.0.1:9", "SHUTDOWN_SECONDS": "0"}
    env = [{"name": f"FLOE_SIDECAR_{name}", "value": value} for name, value in variables.items()]
    relay = {"name": "floe-sidecar", "image": image, "restartPolicy": "Always", "env": env, "volumeMounts": spool}
    command = ["/opt/floe/bin/python", "-c", POST]
    app = {"name": "app", "image": image, "command": command}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "load-1", "namespace": namespace},
        "spec": {
            "initContainers": [relay],
            "containers": [app],
            "volumes": [{"name": "spool", "emptyDir": {}}],
            "terminationGracePeriodSeconds": 1,
        },
    }


def test_what_a_sidecar_holds_is_listed_exported_and_deleted_from_outside(
    node: Node, client: KubernetesClient, home: Namespace, tmp_path: Path
) -> None:
    def run(*words: str) -> Result:
        cluster = ["--kubeconfig", str(node.cluster.kubeconfig), "--namespace", home.name]
        return CliRunner().invoke(floe, ["queue", "pod/load-1", *words, *cluster])

    client.create(pod_with_a_relay(home.name))
    deadline = time.monotonic() + START_SECONDS
    # Until the kubelet has started the relay, there is nothing to ask.
    while len(run("list", "--queue").stdout.splitlines()) < 3:
        assert time.monotonic() < deadline, run("list", "--queue")
        time.sleep(0.5)
    target = tmp_path / "events.ndjson"
    assert run("export", "--queue", "--to", str(target)).exit_code == 0
    assert [json.loads(line)["number"] for line in target.read_text().splitlines()] == [0, 1, 2]
    tried = run("purge", "--queue", "--all", "--dry-run")
    assert (tried.exit_code, tried.stderr) == (0, "3 events would be deleted\n")
    assert run("purge", "--queue", "--all").exit_code == 0
    assert run("list", "--queue").stdout == ""
    assert run("show", "99").exit_code == 3
