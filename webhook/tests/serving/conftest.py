"""A webhook that serves in this process, over real TLS, with a certificate of an authority of its own."""

import ipaddress
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from floe_certs.authority import Certificate, create_authority, issue_serving_certificate
from floe_webhook.certificates import CertificateFiles
from floe_webhook.connections import Listener
from floe_webhook.metrics import Metrics
from floe_webhook.profile import Profile
from floe_webhook.reload import CurrentProfile
from floe_webhook.server import Webhook
from webhook.tests.builders import PROFILE

LOCALHOST = ipaddress.ip_address("127.0.0.1")


@dataclass(frozen=True, slots=True)
class Serving:
    """A webhook that serves, and a client that trusts its authority.

    Attributes:
        url: Its origin.
        files: Follows `certificate` and `key`.
        certificate, key, manifest: The files that it follows.
    """

    url: str
    webhook: Webhook
    client: httpx.AsyncClient
    files: CertificateFiles
    certificate: Path
    key: Path
    manifest: Path
    authority: Certificate

    def renew_certificate(self, **lifetime: int) -> Certificate:
        """Writes a new certificate of the same authority into the files."""
        renewed = issue_serving_certificate(
            self.authority, ip_addresses=[LOCALHOST], now=datetime.now(UTC), lifetime=timedelta(**lifetime)
        )
        self.certificate.write_bytes(renewed.certificate_pem)
        self.key.write_bytes(renewed.key_pem)
        return renewed


@pytest.fixture
def read_profile() -> Callable[[Path], Profile]:
    """What makes a profile of the manifest's file; tests of reloading bring another."""
    return lambda _: PROFILE


@pytest.fixture
async def serving(tmp_path: Path, read_profile: Callable[[Path], Profile]) -> AsyncIterator[Serving]:
    """A webhook on a free port."""
    now = datetime.now(UTC)
    authority = create_authority("tests", now=now)
    first = issue_serving_certificate(authority, ip_addresses=[LOCALHOST], now=now)
    certificate, key, manifest = tmp_path / "tls.crt", tmp_path / "tls.key", tmp_path / "manifest.yaml"
    certificate.write_bytes(first.certificate_pem)
    key.write_bytes(first.key_pem)
    manifest.write_text("first")
    metrics = Metrics()
    files = CertificateFiles(certificate, key, metrics.certificates)
    webhook = Webhook(CurrentProfile.start(manifest, metrics, read_profile), files, metrics)
    listener = Listener(metrics.connections_cut)
    await listener.start(webhook.admissions(), "127.0.0.1", 0, files.context)
    url = f"https://127.0.0.1:{listener.address[1]}"
    trust = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    try:
        async with httpx.AsyncClient(base_url=url, verify=trust, trust_env=False) as client:
            yield Serving(url, webhook, client, files, certificate, key, manifest, authority)
    finally:
        await listener.stop()
