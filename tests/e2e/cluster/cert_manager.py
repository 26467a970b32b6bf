"""cert-manager's controllers beside an API server, which gets their kinds: Issuers sign, Certificates are renewed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.cluster.definitions import CERT_MANAGER_KINDS, install
from tests.e2e.cluster.processes import RunningProcess, running


@contextmanager
def cert_manager(folder: Path, cluster: Cluster) -> Iterator[RunningProcess]:
    """Controllers that have been started, with an administrator's rights.

    Args:
        folder: Takes their log.
        cluster: Whose API server they follow.
    """
    install(cluster, CERT_MANAGER_KINDS)
    command = [str(program("cert-manager")), f"--kubeconfig={cluster.kubeconfig}"]
    with running("cert-manager", command, log=folder / "cert-manager.log") as process:
        yield process
