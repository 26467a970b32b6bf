"""CoreDNS, the cluster's name service: a process on the node's own address, which every pod asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.kubeconfig import Identities
from tests.e2e.cluster.network import NODE_ADDRESS
from tests.e2e.cluster.processes import LOOPBACK, free_port, running

CLUSTER_DOMAIN = "cluster.local"


@contextmanager
def coredns(folder: Path, identities: Identities) -> Iterator[None]:
    """A name service that knows the cluster's Services, and no name outside it."""
    # An ordinary cluster runs it in a pod, whose role is for a service account; here it is a process and reads as an
    # administrator.
    kubeconfig = identities.kubeconfig("coredns", user="floe-e2e-coredns", groups=["system:masters"])
    ready = f"{LOOPBACK}:{free_port()}"
    corefile = folder / "Corefile"
    corefile.write_text(
        f".:53 {{\n    bind {NODE_ADDRESS}\n    errors\n    ready {ready}\n"
        f"    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{\n        kubeconfig {kubeconfig}\n    }}\n}}\n"
    )
    command = [str(program("coredns")), "-conf", str(corefile)]
    with running("coredns", command, log=folder / "coredns.log") as process:
        process.wait_until(lambda: _is_ready(f"http://{ready}/ready"), "ready")
        yield


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False
