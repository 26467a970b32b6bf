"""The certificate that is served: of two files, or of the Secret that all replicas share (`floe_certs`)."""

import ssl
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import structlog
from cryptography import x509

from floe_certs.authority import Certificate
from floe_certs.defects import Defect
from floe_certs.events import Failure, Repair
from floe_certs.kubernetes import ClusterApi
from floe_certs.planning import Step
from floe_certs.rotation import Rotation
from floe_certs.serving import ServingContext
from floe_certs.settings import CertificateSettings
from floe_webhook.metrics import CertificateMetrics
from floe_webhook.reload import follow

_TOLD_AGAIN_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class ServedCertificate(Protocol):
    """A TLS context that is kept up to date."""

    @property
    def context(self) -> ssl.SSLContext:
        """For the listener; the same object for the server's whole life."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the API server could call this replica."""
        ...

    def details(self) -> Mapping[str, object]:
        """What stands in `/readyz`."""
        ...

    async def run(self) -> None:
        """Keeps it up to date until it is cancelled, on the event loop that accepts connections."""
        ...


class CertificateFiles:
    """Follows the certificate's and the key's files; a bad pair leaves the last good one in force."""

    def __init__(self, certificate: Path, key: Path, metrics: CertificateMetrics) -> None:
        """Serves what the files hold now.

        Raises:
            OSError: A file cannot be read.
            ValueError: They hold no pair.
        """
        self._certificate = certificate
        self._key = key
        self._metrics = metrics
        self._serving = ServingContext()
        self._pair = self._read()
        self.error: str | None = None
        self.expires_at = self._serve(self._pair)

    @property
    def context(self) -> ssl.SSLContext:
        """See `ServedCertificate`."""
        return self._serving.context

    @property
    def ready(self) -> bool:
        """There is a pair from the beginning."""
        return True

    def details(self) -> Mapping[str, object]:
        """See `ServedCertificate`."""
        return {"certificate_expires_at": self.expires_at.isoformat(), "certificate_error": self.error}

    async def run(self) -> None:
        """See `ServedCertificate`."""

        async def refresh() -> None:
            self.refresh()

        await follow(refresh)

    def refresh(self) -> bool:
        """Takes a changed pair for new connections; a pair that does not fit together changes nothing.

        Call it on the event loop that accepts connections (`ServingContext.serve`); it reads two small files.
        """
        try:
            pair = self._read()
            if pair == self._pair:
                return False
            self.expires_at = self._serve(pair)
        except (OSError, ValueError) as error:
            reason = f"{type(error).__name__} in {self._certificate.name} or {self._key.name}"
            if reason != self.error:
                _log.error("certificate refused, the last good one stays in force", reason=reason)
            self.error = reason
            return False
        self._pair, self.error = pair, None
        _log.info("certificate in force", expires_at=self.expires_at.isoformat())
        return True

    def _read(self) -> Certificate:
        return Certificate(self._certificate.read_bytes(), self._key.read_bytes())

    def _serve(self, pair: Certificate) -> datetime:
        """Puts a pair into the context; gives when it expires."""
        expires_at = x509.load_pem_x509_certificate(pair.certificate_pem).not_valid_after_utc.astimezone(UTC)
        self._serving.serve(pair)
        self._metrics.expiry.set(expires_at.timestamp())
        return expires_at


class SharedCertificate:
    """Follows the Secret that all replicas share, and while this replica leads renews it."""

    def __init__(
        self,
        settings: CertificateSettings,
        api: ClusterApi,
        *,
        leads: Callable[[], bool],
        address: Callable[[], tuple[str, int]],
        metrics: CertificateMetrics,
    ) -> None:
        """Serves nothing yet.

        Args:
            settings: The same for every replica.
            api: Secret and webhook configuration.
            leads: Whether this replica leads.
            address: Where this replica reaches its own listener; asked only while it runs.
            metrics: Counts what happens.
        """
        self._serving = ServingContext()
        self._notes = Notes(metrics)
        self._rotation = Rotation(
            settings,
            secrets=api,
            trust=api,
            serving=self._serving,
            address=address,
            leads=leads,
            observer=self._notes,
        )

    @property
    def context(self) -> ssl.SSLContext:
        """See `ServedCertificate`."""
        return self._serving.context

    @property
    def ready(self) -> bool:
        """As a handshake with oneself has shown, trusting what the API server trusts."""
        return self._rotation.verdict.ready

    def details(self) -> Mapping[str, object]:
        """See `ServedCertificate`."""
        verdict, notes = self._rotation.verdict, self._notes
        return {
            "certificate_expires_at": notes.expires_at and notes.expires_at.isoformat(),
            "certificate_error": notes.error,
            "certificate_verdict": verdict.reason,
            "certificate_verdict_at": verdict.at and verdict.at.isoformat(),
        }

    async def run(self) -> None:
        """See `ServedCertificate`."""
        await self._rotation.run()


class Notes:
    """What rotation tells, for metrics, logs and `/readyz`; an `Observer` of `floe_certs`.

    Attributes:
        expires_at: When the certificate ends that is served; None before the first.
        error: The last thing that went wrong, unless a new certificate is served since.
    """

    def __init__(self, metrics: CertificateMetrics, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._monotonic = monotonic
        self._told_at = -_TOLD_AGAIN_SECONDS
        self.expires_at: datetime | None = None
        self.error: str | None = None

    def stepped(self, step: Step, reason: str) -> None:
        """See `Observer`."""
        self._metrics.steps.labels(step).inc()
        _log.info("certificates changed", step=step, reason=reason)

    def serving(self, ends_at: datetime, authority_ends_at: datetime) -> None:
        """See `Observer`."""
        self.expires_at, self.error = ends_at, None
        self._metrics.expiry.set(ends_at.timestamp())
        self._metrics.authority_expiry.set(authority_ends_at.timestamp())
        _log.info(
            "certificate in force", expires_at=ends_at.isoformat(), authority_expires_at=authority_ends_at.isoformat()
        )

    def repaired(self, repair: Repair) -> None:
        """See `Observer`."""
        self._metrics.repairs.labels(repair).inc()
        _log.warning("certificates repaired", object=repair)

    def failed(self, reason: Failure | Defect, sentence: str) -> None:
        """See `Observer`; each round tells what it met, so the log hears of the same thing only now and then."""
        self._metrics.failures.labels(reason).inc()
        now = self._monotonic()
        if sentence != self.error or now - self._told_at >= _TOLD_AGAIN_SECONDS:
            _log.error("certificates are not as they should be", reason=reason, sentence=sentence)
            self._told_at = now
        self.error = sentence
