"""The control plane of a test cluster: certificates, etcd and the API server, started and stopped together.

The other parts of a cluster (controller manager, scheduler, a node) are context managers of their own beside these.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster.apiserver import api_server
from tests.e2e.cluster.binaries import KUBERNETES, Build
from tests.e2e.cluster.certificates import Authority
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.etcd import etcd
from tests.e2e.cluster.kubeconfig import certificate_kubeconfig

KUBECONFIG_VARIABLE = "E2E_KUBECONFIG"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that tests may use: ours, or an existing one."""

    kubeconfig: Path
    is_ours: bool
    """Whether it was started here and ends with the tests: then nothing that they make needs to be removed."""

    def client(self) -> KubernetesClient:
        """A client with the kubeconfig's rights; the caller closes it."""
        return KubernetesClient.from_kubeconfig(self.kubeconfig)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """The cluster of `E2E_KUBECONFIG`, or else a control plane of our own in a folder.

    Raises:
        FileNotFoundError: `E2E_KUBECONFIG` names no file.
    """
    existing = os.environ.get(KUBECONFIG_VARIABLE)
    if existing:
        path = Path(existing).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"{KUBECONFIG_VARIABLE} names {path}, which is not a file; unset it to start a cluster"
            )
        yield Cluster(path, is_ours=False)
        return
    with control_plane(folder) as ours:
        yield ours


@contextmanager
def control_plane(
    folder: Path, api_server_arguments: Sequence[str] = (), kubernetes: Build = KUBERNETES
) -> Iterator[Cluster]:
    """An API server over an etcd, both on the loopback address; `folder/kubeconfig` is an administrator's."""
    authority = Authority.create(folder)
    with ExitStack() as parts:
        etcd_url = parts.enter_context(etcd(folder))
        server = parts.enter_context(
            api_server(folder, authority, etcd_url, api_server_arguments, kubernetes=kubernetes)
        )
        kubeconfig = folder / "kubeconfig"
        certificate_kubeconfig(kubeconfig, server.url, server.authority_file, server.administrator)
        yield Cluster(kubeconfig, is_ours=True)
