"""kube-controller-manager and kube-scheduler: what makes pods of Jobs, and finds nodes for pods."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.kubeconfig import Identities
from tests.e2e.cluster.processes import LOOPBACK, free_port, running


@contextmanager
def controller_manager(folder: Path, identities: Identities, service_account_key: Path) -> Iterator[None]:
    """A controller manager that is healthy."""
    arguments = [
        f"--root-ca-file={identities.authority.certificate_file}",
        f"--service-account-private-key-file={service_account_key}",
        "--use-service-account-credentials",
    ]
    with _component("kube-controller-manager", "system:kube-controller-manager", folder, identities, arguments):
        yield


@contextmanager
def scheduler(folder: Path, identities: Identities) -> Iterator[None]:
    """A scheduler that is healthy."""
    with _component("kube-scheduler", "system:kube-scheduler", folder, identities, []):
        yield


@contextmanager
def _component(name: str, user: str, folder: Path, identities: Identities, arguments: list[str]) -> Iterator[None]:
    kubeconfig = identities.kubeconfig(name, user=user)
    port = free_port()
    command = [
        str(program(name)),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--cert-dir={folder / name}",
        "--leader-elect=false",
        *arguments,
    ]
    with running(name, command, log=folder / f"{name}.log") as process:
        process.wait_until(lambda: _is_healthy(port), "healthy")
        yield


def _is_healthy(port: int) -> bool:
    try:
        # Its certificate is one that it made for itself, on the loopback address.
        return httpx.get(f"https://{LOOPBACK}:{port}/healthz", verify=False, timeout=2.0, trust_env=False).is_success  # noqa: S501 - see above
    except httpx.TransportError:
        return False
