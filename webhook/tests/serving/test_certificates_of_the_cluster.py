"""A replica that serves from the Secret that all share: ready when the API server trusts it, and what it tells."""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from certs.tests.api_server import OBJECTS, InMemoryApi
from floe_certs.api import LiveTrust
from floe_certs.events import FAILURES, Failure, Repair
from floe_certs.kubernetes import ClusterApi
from floe_certs.planning import Step
from floe_certs.settings import CertificateSettings
from floe_core.logging import configure_logging
from floe_webhook.certificates import Notes, SharedCertificate
from floe_webhook.connections import Listener
from floe_webhook.metrics import CertificateMetrics, Metrics
from floe_webhook.reload import CurrentProfile
from floe_webhook.server import Webhook
from webhook.tests.builders import PROFILE
from webhook.tests.waiting import until

pytestmark = pytest.mark.requirement("FP-8", "FP-24", "HOUSE-11", "HOUSE-12")

SETTINGS = CertificateSettings(("127.0.0.1",), settle=timedelta(0), poll=timedelta(seconds=0.05))


@dataclass(frozen=True, slots=True)
class Replica:
    """A webhook whose API server is in memory."""

    server: InMemoryApi
    cluster: ClusterApi
    webhook: Webhook
    listener: Listener
    health: httpx.AsyncClient

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.listener.address[1]}"

    async def trust(self) -> ssl.SSLContext:
        """As the API server trusts it."""
        live = await self.cluster.read_trust()
        assert isinstance(live, LiveTrust)
        return ssl.create_default_context(cadata=next(iter(live.bundles.values())).decode())


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    """It listens and follows, and there is no webhook configuration yet."""
    server, metrics = InMemoryApi(), Metrics()
    cluster = ClusterApi(server.request, OBJECTS)
    listener, health = Listener(metrics.connections_cut), Listener(metrics.connections_cut)
    certificate = SharedCertificate(
        SETTINGS, cluster, leads=lambda: True, address=lambda: listener.address, metrics=metrics.certificates
    )
    (tmp_path / "manifest.yaml").write_text("any")
    profile = CurrentProfile.start(tmp_path / "manifest.yaml", metrics, lambda _: PROFILE)
    webhook = Webhook(profile, certificate, metrics)
    await listener.start(webhook.admissions(), "127.0.0.1", 0, certificate.context)
    await health.start(webhook.health(), "127.0.0.1", 0)
    following = asyncio.create_task(certificate.run())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{health.address[1]}", trust_env=False) as http:
        yield Replica(server, cluster, webhook, listener, http)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await listener.stop()
    await health.stop()


async def test_it_is_ready_as_soon_as_the_api_server_could_call_it(replica: Replica) -> None:
    await until(lambda: "no webhook configuration" in str(replica.webhook.certificate.details()), "looked")
    found = await replica.health.get("/readyz")
    assert (found.status_code, found.json()["ready"]) == (503, False)
    assert found.json()["certificate_verdict"] == "There is no webhook configuration with an entry."

    replica.server.configure_webhooks("pod.floe", "namespace.floe")
    await until(lambda: replica.webhook.certificate.ready, "ready")

    found = await replica.health.get("/readyz")
    assert (found.status_code, found.json()["ready"]) == (200, True)
    assert datetime.fromisoformat(found.json()["certificate_expires_at"]) > datetime.now(UTC)
    async with httpx.AsyncClient(verify=await replica.trust(), trust_env=False) as http:
        assert (await http.get(f"{replica.url}/healthz")).status_code == 200
    metrics = (await replica.health.get("/metrics")).text
    assert 'floe_webhook_certificate_steps_total{step="create"} 1.0' in metrics
    assert "floe_webhook_authority_expiry_timestamp_seconds 0.0" not in metrics


async def test_an_api_server_that_is_away_changes_nothing_and_is_told(replica: Replica) -> None:
    replica.server.configure_webhooks("pod.floe")
    await until(lambda: replica.webhook.certificate.ready, "ready")
    replica.server.reachable = False
    await until(lambda: bool(replica.webhook.certificate.details()["certificate_error"]), "noticed")
    found = await replica.health.get("/readyz")
    assert found.status_code == 200, "the verdict stays: else its restart would empty the endpoints"
    assert "cannot be reached" in found.json()["certificate_error"]


class TestNotes:
    """Metrics, log and `/readyz`."""

    @pytest.fixture
    def registry(self) -> CollectorRegistry:
        return CollectorRegistry()

    async def test_everything_that_happens_is_counted(self, registry: CollectorRegistry) -> None:
        notes = Notes(CertificateMetrics(registry))
        notes.stepped(Step.TRUST, "it is time")
        notes.repaired(Repair.CA_BUNDLE)
        notes.failed(Failure.API_REFUSED, "No.")
        ends_at = datetime(2031, 1, 1, tzinfo=UTC)
        notes.serving(ends_at, ends_at + timedelta(days=1))

        def value(name: str, **labels: str) -> float | None:
            return registry.get_sample_value(f"floe_webhook_{name}", labels)

        assert value("certificate_steps_total", step="trust") == 1
        assert value("certificate_repairs_total", object="ca_bundle") == 1
        assert value("certificate_failures_total", reason="api_refused") == 1
        assert value("certificate_expiry_timestamp_seconds") == ends_at.timestamp()
        assert value("authority_expiry_timestamp_seconds") == ends_at.timestamp() + 86_400
        assert (notes.expires_at, notes.error) == (ends_at, None), "a new certificate ends what was wrong"

    def test_every_failure_has_its_zero_from_the_start(self, registry: CollectorRegistry) -> None:
        CertificateMetrics(registry)
        told = {
            registry.get_sample_value("floe_webhook_certificate_failures_total", {"reason": str(reason)})
            for reason in FAILURES
        }
        assert told == {0.0}

    def test_what_stays_wrong_is_counted_each_time_and_logged_once_a_minute(self, registry: CollectorRegistry) -> None:
        lines, now = io.StringIO(), [0.0]
        configure_logging(stream=lines)
        notes = Notes(CertificateMetrics(registry), lambda: now[0])
        for second in range(0, 120, 5):
            now[0] = second
            notes.failed(Failure.API_UNREACHABLE, "The API server cannot be reached.")
        assert len(lines.getvalue().splitlines()) == 2
        counted = registry.get_sample_value("floe_webhook_certificate_failures_total", {"reason": "api_unreachable"})
        assert counted == 24
        notes.failed(Failure.API_REFUSED, "The API server refuses.")
        assert len(lines.getvalue().splitlines()) == 3, "something else is told at once"
