"""The kubelet: the node that runs pods."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.client import ApiError, KubernetesClient
from tests.e2e.cluster.commands import run, with_system_path
from tests.e2e.cluster.containerd import Containerd
from tests.e2e.cluster.coredns import CLUSTER_DOMAIN
from tests.e2e.cluster.kubeconfig import Identities
from tests.e2e.cluster.network import NODE_ADDRESS
from tests.e2e.cluster.processes import free_port, running

LOGS = "logs"
"""The folder of containers' logs, under the node's state."""
NODE_NAME = "node1"
_CONTAINER_LOGS = Path("/var/log/containers")
"""Where every kubelet links the logs of its containers, wherever those are."""


@contextmanager
def kubelet(
    folder: Path, state: Path, identities: Identities, runtime: Containerd, client: KubernetesClient
) -> Iterator[None]:
    """A kubelet whose node is ready; what it mounted is unmounted afterwards.

    Args:
        folder: Takes its log and configuration.
        state: Takes its pods' volumes and logs.
        identities: Gives it its certificates.
        runtime: Runs its containers.
        client: Asks whether the node is ready.
    """
    configuration = folder / "kubelet.json"
    configuration.write_text(json.dumps(_configuration(state, identities, runtime)))
    kubeconfig = identities.kubeconfig("kubelet", user=f"system:node:{NODE_NAME}", groups=["system:nodes"])
    command = [
        str(program("kubelet")),
        f"--config={configuration}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
        f"--root-dir={state / 'kubelet'}",
        f"--cert-dir={folder / 'kubelet'}",
    ]
    try:
        with running("kubelet", command, log=folder / "kubelet.log", environment=with_system_path()) as process:
            process.wait_until(lambda: _is_ready(client), "ready", timeout_seconds=120.0)
            yield
    finally:
        remove_mounts(state)
        _remove_links(state)


def remove_mounts(state: Path) -> None:
    """Unmounts everything below a folder, the inmost first."""
    for mount in sorted(_mounts_below(state), reverse=True):
        run(["umount", "--lazy", mount])


def remove_cgroups() -> None:
    """Removes the groups that a kubelet made for its pods, in each hierarchy."""
    root = Path("/sys/fs/cgroup")
    for top in (*root.glob("kubepods"), *root.glob("*/kubepods")):  # cgroup v2, or the hierarchies of v1
        folders = [path for path in top.rglob("*") if path.is_dir()]
        for group in sorted([top, *folders], reverse=True):
            group.rmdir()


def _mounts_below(state: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4].replace("\\040", " ") for line in lines]
    return [point for point in points if point.startswith(f"{state}/")]


def _remove_links(state: Path) -> None:
    if not _CONTAINER_LOGS.is_dir():
        return
    for link in _CONTAINER_LOGS.iterdir():
        if link.is_symlink() and str(link.readlink()).startswith(f"{state}/"):
            link.unlink()
    if not any(_CONTAINER_LOGS.iterdir()):
        _CONTAINER_LOGS.rmdir()


def _is_ready(client: KubernetesClient) -> bool:
    try:
        conditions = client.get("Node", NODE_NAME)["status"].get("conditions", [])
    except ApiError as error:
        if error.reason != "NotFound":
            raise
        return False
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _configuration(state: Path, identities: Identities, runtime: Containerd) -> dict[str, object]:
    serving = identities.authority.server("kubelet-serving", addresses=[NODE_ADDRESS], host_names=[NODE_NAME])
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "port": free_port(),
        "healthzPort": 0,
        "readOnlyPort": 0,
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(identities.authority.certificate_file)},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": f"unix://{runtime.socket}",
        "podLogsDir": str(state / LOGS),
        "volumePluginDir": str(state / "volume-plugins"),
        # A test's machine may have cgroup v1, swap, and no right to raise limits or lower OOM scores.
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "enforceNodeAllocatable": ["none"],
        "oomScoreAdj": 0,
        "featureGates": {"KubeletInUserNamespace": True},
        "localStorageCapacityIsolation": False,
        # Its disk is the machine's: how full that is says nothing about the tests.
        "evictionHard": {"memory.available": "50Mi"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }
