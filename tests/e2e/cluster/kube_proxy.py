"""kube-proxy: Services as iptables rules of this machine."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.commands import with_system_path
from tests.e2e.cluster.kubeconfig import Identities
from tests.e2e.cluster.network import POD_NETWORK
from tests.e2e.cluster.processes import LOOPBACK, free_port, running


@contextmanager
def kube_proxy(folder: Path, identities: Identities, node_name: str) -> Iterator[None]:
    """A kube-proxy that has written its rules; who made the network removes them."""
    health = f"{LOOPBACK}:{free_port()}"
    configuration = folder / "kube-proxy.json"
    document = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(identities.kubeconfig("kube-proxy", user="system:kube-proxy"))},
        "clusterCIDR": POD_NETWORK,
        "conntrack": {"maxPerCore": 0, "min": 0},  # the machine's own limits stay
        "healthzBindAddress": health,
        "hostnameOverride": node_name,
        "iptables": {"localhostNodePorts": False},  # they would need a setting of the machine's network
        "metricsBindAddress": f"{LOOPBACK}:{free_port()}",
        "mode": "iptables",
    }
    configuration.write_text(json.dumps(document))
    command = [str(program("kube-proxy")), f"--config={configuration}"]
    with running("kube-proxy", command, log=folder / "kube-proxy.log", environment=with_system_path()) as process:
        process.wait_until(lambda: _is_healthy(f"http://{health}/healthz"), "healthy")
        yield


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False
