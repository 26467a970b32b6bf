"""What the node itself can do: names and addresses of Services, logs, and that there is one node at a time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.admission import Namespace, create_namespace
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.node import Node, NodeError
from tests.e2e.cluster.node import node as start_node
from tests.e2e.traces import traces_of_a_node
from tests.e2e.workloads import end_of, job, log_of, python, run_job, wait_until_ready

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("CC-6.1")]

_SERVE = """\
from http.server import BaseHTTPRequestHandler, HTTPServer
class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"hello")
HTTPServer(("", 8080), Hello).serve_forever()
"""
# kube-proxy learns of the pod a moment after it is ready.
_ASK = """\
import sys, time, urllib.request
for attempt in range(100):
    try:
        print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
        break
    except OSError as error:
        print(error)
        time.sleep(0.1)
"""


@pytest.fixture
def client(node: Node) -> Iterator[KubernetesClient]:
    """An administrator's client."""
    with node.cluster.client() as administrator:
        yield administrator


@pytest.fixture
def home(client: KubernetesClient) -> Iterator[Namespace]:
    """A namespace without a label."""
    made = create_namespace(client, {})
    yield made
    client.delete(made.manifest)


def test_a_pod_reaches_another_by_the_name_of_its_service(home: Namespace, client: KubernetesClient) -> None:
    server = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": home.name, "labels": {"app": "web"}},
        "spec": {"containers": [python("web", _SERVE) | {"readinessProbe": {"tcpSocket": {"port": 8080}}}]},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": home.name},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    client.create(server)
    client.create(service)
    wait_until_ready(client, server)

    pod = run_job(client, job(home, {"containers": [python("ask", _ASK, f"http://web.{home.name}.svc")]}))

    assert end_of(pod, "ask")["exitCode"] == 0
    assert log_of(client, pod, "ask").splitlines()[-1:] == ["hello"]


@pytest.mark.usefixtures("node")
def test_a_second_node_on_a_machine_is_refused_and_the_first_one_stays(
    tmp_path: Path, client: KubernetesClient
) -> None:
    with (
        pytest.raises(NodeError, match="a node of the test bed runs on this machine"),
        start_node(tmp_path),
    ):
        pass

    assert client.is_ready()
    assert any(trace.startswith("process kubelet") for trace in traces_of_a_node())
