"""kube-apiserver over an etcd that runs already, on the loopback address or on the one that a node's pods reach."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster.audit import audit_arguments
from tests.e2e.cluster.binaries import KUBERNETES, Build, ensure
from tests.e2e.cluster.certificates import Authority, KeyPairFiles, service_account_keys
from tests.e2e.cluster.client import KubernetesClient
from tests.e2e.cluster.processes import LOOPBACK, free_port, running

SERVICE_NETWORK = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
"""The `kubernetes` Service's address: the first of the network."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A ready API server and an administrator's certificate for it."""

    url: str
    authority_file: Path
    administrator: KeyPairFiles
    service_account_keys: KeyPairFiles
    """With these a controller manager signs the tokens that it hands out."""

    def client(self) -> KubernetesClient:
        """A client with an administrator's rights; the caller closes it."""
        return KubernetesClient.with_certificate(self.url, self.authority_file, self.administrator)


@contextmanager
def api_server(
    folder: Path,
    authority: Authority,
    etcd_url: str,
    extra_arguments: Sequence[str] = (),
    *,
    address: str = LOOPBACK,
    kubernetes: Build = KUBERNETES,
) -> Iterator[ApiServer]:
    """An API server that answers `/readyz`.

    Args:
        folder: Takes its logs and certificates.
        authority: Signs its own certificate and those of its clients.
        etcd_url: Where its etcd listens.
        extra_arguments: More options of kube-apiserver, e.g. feature gates.
        address: Where it listens; another one than loopback becomes the endpoint of the `kubernetes` Service.
        kubernetes: Whose kube-apiserver.
    """
    port = free_port()
    serving = authority.server(
        "apiserver",
        addresses=sorted({LOOPBACK, address, SERVICE_ADDRESS}),
        host_names=("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"),
    )
    administrator = authority.client("admin", user="floe-e2e-admin", groups=("system:masters",))
    tokens = service_account_keys(folder)
    command = [
        str(ensure(kubernetes) / "kube-apiserver"),
        f"--etcd-servers={etcd_url}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
        f"--secure-port={port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        f"--client-ca-file={authority.certificate_file}",
        f"--service-account-key-file={tokens.certificate}",
        f"--service-account-signing-key-file={tokens.key}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--authorization-mode=Node,RBAC",
        # A loopback address cannot be an endpoint.
        f"--endpoint-reconciler-type={'none' if address == LOOPBACK else 'lease'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--allow-privileged=true",
        "--profiling=false",
        *audit_arguments(folder),
        *extra_arguments,
    ]
    server = ApiServer(f"https://{address}:{port}", authority.certificate_file, administrator, tokens)
    with running("kube-apiserver", command, log=folder / "kube-apiserver.log") as process, server.client() as client:
        process.wait_until(client.is_ready, "ready", timeout_seconds=120.0)
        yield server
