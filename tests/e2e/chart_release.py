"""A release of the chart on the node's cluster, with our own images and a volume for its gateway."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.admission import INJECT_LABEL, Namespace, create_namespace
from tests.e2e.cluster import images
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.node import Node
from tests.e2e.helm import Helm, Values

GONE_SECONDS = 60.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Release:
    """What is installed, and with which values.

    Attributes:
        pipelines: A namespace that has opted in and is listed in the values: the release's policy opens its ways out.
    """

    helm: Helm
    values: Values
    pipelines: Namespace


@contextmanager
def released(node: Node, client: KubernetesClient, lineage_url: str, folder: Path, name: str) -> Iterator[Release]:
    """The chart, installed as `name` in a namespace of that name; the block may uninstall it."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    helm = Helm(folder, node.cluster.kubeconfig, name, name)
    with _volume(client, folder / "volume", name):
        client.create(namespace)
        pipelines = create_namespace(client, {INJECT_LABEL: "enabled"})
        values = _values(lineage_url, name, pipelines)
        helm.install(values)
        yield Release(helm, values, pipelines)
        client.delete(pipelines.manifest)
        helm("uninstall", name, "--namespace", name, "--ignore-not-found", "--wait")
        client.delete(namespace)


def wait_until_gone(client: KubernetesClient, namespace: str) -> None:
    """Returns when a namespace has no pod any more: what has been removed may still be ending.

    Raises:
        TimeoutError: One is still there.
    """
    deadline = time.monotonic() + GONE_SECONDS
    while pods := client.pods(namespace):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{pods[0]['metadata']['name']} is still there after {GONE_SECONDS:g} s")
        time.sleep(_POLL_SECONDS)


def _values(lineage_url: str, name: str, pipelines: Namespace) -> Values:
    backend = urlsplit(lineage_url)
    to_the_backend = {
        "to": [{"ipBlock": {"cidr": f"{backend.hostname}/32"}}],
        "ports": [{"protocol": "TCP", "port": backend.port}],
    }
    return {
        "fullnameOverride": name,
        "images": {"webhook": image_values("webhook"), "sidecar": image_values("sidecar")},
        "manifest": {"plugins": {"lineage_backend": {"type": "marquez", "config": {"url": lineage_url}}}},
        # Enough for kube-proxy to hear of an ending replica, and short for a test.
        "webhook": {"drainSeconds": 3},
        "gateway": {"volume": {"storageClassName": name, "size": "64Mi"}},
        "prePull": {"enabled": True},
        "pipelineNamespaces": [pipelines.name],
        "networkPolicy": {"enabled": True, "egress": {"enabled": True, "more": [to_the_backend]}},
    }


def image_values(which: str) -> dict[str, str]:
    """The values of one of our images, which the node has."""
    repository, tag = images.image_name(which).rsplit(":", 1)
    return {"repository": repository, "tag": tag, "pullPolicy": "Never"}


@contextmanager
def _volume(client: KubernetesClient, folder: Path, name: str) -> Iterator[None]:
    """What a storage driver would provide: a volume for the gateway's claim, on the node."""
    folder.mkdir()
    folder.chmod(0o777)  # a volume on a host's path takes no fsGroup
    manifest: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "64Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": name,
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }
    client.create(manifest)
    try:
        yield
    finally:
        client.delete(manifest)
