"""etcd, the API server's store: one member on the loopback address, its files in the test's own folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.processes import LOOPBACK, free_port, running


@contextmanager
def etcd(folder: Path) -> Iterator[str]:
    """A running etcd; gives the URL for its clients."""
    client_url = f"http://{LOOPBACK}:{free_port()}"
    peer_url = f"http://{LOOPBACK}:{free_port()}"
    command = [
        str(program("etcd")),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--unsafe-no-fsync",  # the data end with the test
        "--log-level=warn",
    ]
    with running("etcd", command, log=folder / "etcd.log") as process:
        process.wait_until(lambda: _is_healthy(client_url), "healthy")
        yield client_url


def _is_healthy(client_url: str) -> bool:
    try:
        return httpx.get(f"{client_url}/readyz", timeout=2.0, trust_env=False).is_success
    except httpx.TransportError:
        return False
