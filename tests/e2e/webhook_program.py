"""The webhook as the program that people run: started with a manifest and a certificate, awaited by `/readyz`."""

import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.cluster.certificates import Authority, KeyPairFiles
from tests.e2e.cluster.client import Manifest
from tests.e2e.cluster.processes import RunningProcess, free_port, running
from tests.e2e.webhook_configuration import by_url, mutating_webhook_configuration

EXAMPLE_MANIFEST = Path(__file__).resolve().parents[2] / "examples" / "manifest.yaml"
REQUESTS_METRIC = "floe_webhook_requests_total"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook that is ready."""

    url: str
    authority_pem: bytes
    process: RunningProcess
    http: httpx.Client

    def configuration(self, name: str) -> Manifest:
        """The MutatingWebhookConfiguration that sends opted-in pods to it."""
        return mutating_webhook_configuration(name, by_url(self.url, self.authority_pem))

    def admissions(self) -> float:
        """How many AdmissionReviews it has answered, by its own count."""
        text = self.http.get("/metrics").raise_for_status().text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == REQUESTS_METRIC
        )


WebhookRunner = Callable[[Path], AbstractContextManager[Webhook]]
"""Runs the program; its log goes into the folder that it is given."""


@contextmanager
def webhook_program(
    manifest: Path, authority: Authority, serving: KeyPairFiles, host: str, folder: Path, *flags: str
) -> Iterator[Webhook]:
    """A running webhook.

    Args:
        manifest: The platform manifest.
        authority: Signed `serving`.
        serving: The webhook's certificate, for `host`.
        host: Where it listens.
        folder: Takes its log.
        flags: More of its own.
    """
    url = f"https://{host}:{(port := free_port())}"
    command = [sys.executable, "-m", "floe_webhook", "--manifest", str(manifest)]
    command += ["--tls-cert", str(serving.certificate), "--tls-key", str(serving.key)]
    command += ["--host", host, "--port", str(port), "--health-port", "0", *flags]
    tls = ssl.create_default_context(cafile=authority.certificate_file)
    with (
        httpx.Client(base_url=url, verify=tls, trust_env=False, timeout=10.0) as http,
        running("floe_webhook", command, log=folder / "webhook.log") as process,
    ):
        process.wait_until(lambda: _is_ready(http), "ready")
        yield Webhook(url, authority.certificate_pem, process, http)
        if process.popen.poll() is None:
            (folder / "webhook.metrics").write_text(http.get("/metrics").text)


def _is_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").is_success
    except httpx.TransportError:
        return False
