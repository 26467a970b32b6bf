"""Who can reach whom: connections that a pod tries to make, by names that its cluster knows."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.e2e.admission import Namespace, pod
from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.client import KubernetesClient, Manifest
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.node import Node
from tests.e2e.workloads import python, wait_until_ready

_WAIT = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); signal.pause()"
_CONNECT = """\
import json, socket, sys
def is_open(place):
    host, port = place.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError:
        return False
    return True
print(json.dumps([place for place in sys.argv[1:] if is_open(place)]))
"""


@contextmanager
def denied_by_default(client: KubernetesClient, namespace: Namespace) -> Iterator[None]:
    """No pod of a namespace may reach anything that no other policy allows it."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "default-deny", "namespace": namespace.name},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"]},
    }
    client.create(policy)
    yield
    client.delete(policy)


def standing_by(client: KubernetesClient, namespace: Namespace, **labels: str) -> Manifest:
    """A pod that waits for `open_from`; it runs when this returns."""
    spec = {"containers": [python("app", _WAIT)], "terminationGracePeriodSeconds": 1}
    created = client.create(pod(namespace, spec=spec, labels=labels))
    wait_until_ready(client, created)
    return created


def open_from(node: Node, started: Manifest, places: Sequence[str]) -> set[str]:
    """Which of these (`host:port`) take a TCP connection from a pod."""
    metadata = started["metadata"]
    kubectl = [str(program("kubectl")), f"--kubeconfig={node.cluster.kubeconfig}"]
    inside = ["exec", f"--namespace={metadata['namespace']}", metadata["name"], "--container=app", "--"]
    return set(json.loads(run([*kubectl, *inside, "python3", "-c", _CONNECT, *places])))
