"""A whole cluster of one node: the control plane, and everything that runs pods, started and stopped together.

    etcd - API server - controller manager, scheduler
               |
    10.88.0.1: kubelet - containerd - pods    kube-proxy    CoreDNS

It needs root. There is one at a time on a machine, because its network, cgroups and mounts are the machine's; a lock
says so. What a run that was killed left behind is removed by the next start, or by `clean_up`.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.e2e.cluster import images, network
from tests.e2e.cluster.apiserver import ApiServer, api_server
from tests.e2e.cluster.binaries import NODE_BUILDS, cache_folder, ensure
from tests.e2e.cluster.certificates import Authority
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.containerd import Containerd, containerd, end_containers
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.cluster.controllers import controller_manager, scheduler
from tests.e2e.cluster.coredns import coredns
from tests.e2e.cluster.debian import require_packages
from tests.e2e.cluster.etcd import etcd
from tests.e2e.cluster.kept_logs import kept_logs
from tests.e2e.cluster.kube_proxy import kube_proxy
from tests.e2e.cluster.kubeconfig import Identities, certificate_kubeconfig
from tests.e2e.cluster.kubelet import LOGS, NODE_NAME, kubelet, remove_cgroups, remove_mounts
from tests.e2e.cluster.system import KERNEL_SETTINGS, kept_settings

STATE = Path("/var/lib/floe-e2e-node")
"""Images, containers and volumes of the running node; short, because a socket's path is bounded, and on a real disk."""

_END_SECONDS = 30.0
_POLL_SECONDS = 0.1


class NodeError(Exception):
    """No node can be started here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Node:
    """A cluster that runs pods."""

    cluster: Cluster
    runtime: Containerd
    address: str = network.NODE_ADDRESS
    """Where pods reach this machine."""


@contextmanager
def node(
    folder: Path,
    *,
    kept: Path | None = None,
    wait_seconds: float = 0.0,
    afterwards: Callable[[], None] = lambda: None,
) -> Iterator[Node]:
    """A cluster whose node is ready; nothing of it stays on the machine.

    Args:
        folder: Takes logs, certificates and `kubeconfig`.
        kept: Takes the logs of all containers when it ends, also of those whose pods are gone; None keeps none.
        wait_seconds: How long to wait for another run's node to end.
        afterwards: Is called when everything has ended and been removed, before another run may start its node.

    Raises:
        NodeError: We are not root, or another node runs on this machine.
        MissingToolError: A program is missing; the message says how to install it.
    """
    require_root()
    require_packages()
    for build in NODE_BUILDS:
        ensure(build)
    with ExitStack() as parts:
        parts.enter_context(_only_one(wait_seconds))
        parts.callback(afterwards)
        remove_leftovers()
        if chains := network.foreign_chains():
            raise NodeError(
                f"this machine is a Kubernetes node already (iptables has {chains[0]}); set E2E_KUBECONFIG to use it"
            )
        STATE.mkdir()
        parts.callback(remove_leftovers)
        if kept is not None:
            parts.enter_context(kept_logs(STATE / LOGS, kept))
        yield _start(folder, parts)


def require_root() -> None:
    """Checks that we may make networks, mounts and cgroups.

    Raises:
        NodeError: We are not root.
    """
    if os.geteuid() != 0:
        raise NodeError("a node makes networks, mounts and cgroups: start it as root, or set E2E_KUBECONFIG")


def clean_up() -> None:
    """Removes what a node that was killed has left on the machine.

    Raises:
        NodeError: We are not root, or a node runs: it is left alone.
    """
    require_root()
    with _only_one():
        remove_leftovers()


def remove_leftovers() -> None:
    """Removes what a node left on the machine, if there is anything; its own programs have ended."""
    if not STATE.exists():
        return
    end_containers(STATE)
    remove_mounts(STATE)
    network.remove_leftovers()
    remove_cgroups()
    shutil.rmtree(STATE)


def _start(folder: Path, parts: ExitStack) -> Node:
    authority = Authority.create(folder)
    parts.enter_context(kept_settings(KERNEL_SETTINGS))
    cni = parts.enter_context(network.node_network(folder))
    server = parts.enter_context(_api_server(folder, authority, parts.enter_context(etcd(folder))))
    identities = Identities(authority, server.url)
    client = parts.enter_context(server.client())
    runtime = parts.enter_context(containerd(folder, STATE, cni))
    runtime.load(images.pause_archive(folder))
    parts.enter_context(coredns(folder, identities))
    parts.enter_context(kubelet(folder, STATE, identities, runtime, client))
    parts.enter_context(kube_proxy(folder, identities, NODE_NAME))  # it waits for its node
    parts.callback(_end_pods, client, runtime)
    parts.enter_context(scheduler(folder, identities))
    parts.enter_context(controller_manager(folder, identities, server.service_account_keys.key))
    kubeconfig = folder / "kubeconfig"
    certificate_kubeconfig(kubeconfig, server.url, authority.certificate_file, server.administrator)
    return Node(Cluster(kubeconfig, is_ours=True), runtime)


@contextmanager
def _api_server(folder: Path, authority: Authority, etcd_url: str) -> Iterator[ApiServer]:
    """An API server that pods reach, and that reads logs from the kubelet."""
    kubelet_client = authority.client("kubelet-client", user="kube-apiserver", groups=["system:masters"])
    arguments = [
        f"--kubelet-client-certificate={kubelet_client.certificate}",
        f"--kubelet-client-key={kubelet_client.key}",
        f"--kubelet-certificate-authority={authority.certificate_file}",
    ]
    with api_server(folder, authority, etcd_url, arguments, address=network.NODE_ADDRESS) as server:
        yield server


def _end_pods(client: KubernetesClient, runtime: Containerd) -> None:
    """Ends every pod while there is a kubelet to do it: containers outlive their runtime. Nobody makes new ones now."""
    for pod in client.pods():
        client.delete(pod)
    deadline = time.monotonic() + _END_SECONDS
    while runtime.running() and time.monotonic() < deadline:  # what is left then is killed with its shim
        time.sleep(_POLL_SECONDS)


@contextmanager
def _only_one(wait_seconds: float = 0.0) -> Iterator[None]:
    deadline = time.monotonic() + wait_seconds
    path = cache_folder() / "node.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        while not _is_taken(lock):
            if time.monotonic() >= deadline:
                raise NodeError(
                    "a node of the test bed runs on this machine; `make cluster-down` ends one that was started by hand"
                )
            time.sleep(_POLL_SECONDS)
        yield


def _is_taken(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
