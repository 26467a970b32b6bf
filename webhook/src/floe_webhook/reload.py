"""Keeps the profile and the serving certificate up to date with their files; a bad file leaves the last good one.

Files are compared by content: a mounted ConfigMap or Secret changes by a swap of symbolic links, which keeps times and
names as they were.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog
from cryptography import x509

from floe_certs.authority import Certificate
from floe_certs.serving import ServingContext
from floe_core.errors import FloeError
from floe_core.manifest import load_manifest
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_webhook.metrics import Metrics
from floe_webhook.profile import Profile, compile_profile

POLL_SECONDS = 1.0

_log = structlog.get_logger(__name__)


def read_profile(manifest_file: Path, release_namespace: str | None = None) -> Profile:
    """The profile of a manifest file and of the plugins that are installed.

    Raises:
        FloeError: The file or a plugin's configuration is wrong, or a plugin fails.
    """
    manifest = load_manifest(manifest_file)
    registry = PluginRegistry()
    telemetry, lineage = manifest.plugins.telemetry_backend, manifest.plugins.lineage_backend
    return compile_profile(
        manifest,
        telemetry=registry.create(PluginKind.TELEMETRY_BACKEND, telemetry) if telemetry else None,
        lineage=registry.create(PluginKind.LINEAGE_BACKEND, lineage) if lineage else None,
        release_namespace=release_namespace,
    )


@dataclass(slots=True)
class CurrentProfile:
    """The profile in force; readers take it once per request.

    Attributes:
        read: Makes a profile of the file.
        error: What is wrong with the file as it is now; None if it is in force.
    """

    file: Path
    profile: Profile
    metrics: Metrics
    read: Callable[[Path], Profile]
    error: str | None = None
    _content: bytes = field(default=b"", repr=False)

    @classmethod
    def start(cls, file: Path, metrics: Metrics, read: Callable[[Path], Profile]) -> "CurrentProfile":
        """The first profile; without one there is nothing to serve.

        Raises:
            FloeError: The manifest or a plugin's configuration is wrong.
        """
        content = file.read_bytes() if file.exists() else b""
        current = cls(file, read(file), metrics, read, None, content)
        metrics.manifest_valid.set(1)
        metrics.manifest_loads.labels("in_force").inc()
        current._log_notices()
        return current

    def refresh(self) -> bool:
        """Compiles a changed manifest and puts it in force, or says why it cannot be."""
        try:
            content = self.file.read_bytes()
        except OSError as error:
            self._refuse(f"The manifest cannot be read: {error.strerror}.")
            return False
        if content == self._content:
            return False
        self._content = content
        try:
            profile = self.read(self.file)
        except FloeError as error:
            self._refuse(str(error))
            return False
        self.profile, self.error = profile, None
        self.metrics.manifest_valid.set(1)
        self.metrics.manifest_loads.labels("in_force").inc()
        _log.info("manifest in force", profile=profile.identity)
        self._log_notices()
        return True

    def _refuse(self, error: str) -> None:
        if error != self.error:
            _log.error("manifest refused, the last good one stays in force", reason=error)
            self.metrics.manifest_loads.labels("refused").inc()
        self.error = error
        self.metrics.manifest_valid.set(0)

    def _log_notices(self) -> None:
        for notice in self.profile.notices:
            _log.warning("manifest asks for what cannot be", notice=notice)


class ServingCertificate:
    """A TLS context that follows the certificate's and the key's files without dropping a connection."""

    def __init__(self, certificate: Path, key: Path, metrics: Metrics) -> None:
        self._certificate = certificate
        self._key = key
        self._metrics = metrics
        self._serving = ServingContext()
        self._pair = self._read()
        self.error: str | None = None
        self.expires_at = self._serve(self._pair)

    @property
    def context(self) -> ssl.SSLContext:
        """For the listener; the same object for the server's whole life."""
        return self._serving.context

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
        self._metrics.certificate_expiry.set(expires_at.timestamp())
        return expires_at


async def follow(refresh: Callable[[], Awaitable[object]], *, seconds: float = POLL_SECONDS) -> None:
    """Refreshes every so many seconds until it is cancelled."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await refresh()
        except Exception as error:  # noqa: BLE001 - the edge of a loop that must not end
            _log.error("following a file failed", error=type(error).__name__)
