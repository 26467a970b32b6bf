"""Keeps the profile up to date with its file; a bad file leaves the last good one in force.

Files are compared by content: a mounted ConfigMap or Secret changes by a swap of symbolic links, which keeps times and
names as they were.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from floe_core.errors import FloeError
from floe_core.manifest import load_manifest
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_webhook.failures import places
from floe_webhook.metrics import Metrics
from floe_webhook.profile import Profile, compile_profile
from floe_webhook.sidecar_trial import refuse_unusable

POLL_SECONDS = 1.0

_log = structlog.get_logger(__name__)


def read_profile(manifest_file: Path, release_namespace: str | None = None, *, ends_pod_runs: bool = True) -> Profile:
    """The profile of a manifest file and of the plugins that are installed.

    Raises:
        FloeError: The file or a plugin's configuration is wrong, a plugin fails, or no sidecar would start with it.
    """
    manifest = load_manifest(manifest_file)
    registry = PluginRegistry()
    telemetry, lineage = manifest.plugins.telemetry_backend, manifest.plugins.lineage_backend
    profile = compile_profile(
        manifest,
        telemetry=registry.create(PluginKind.TELEMETRY_BACKEND, telemetry) if telemetry else None,
        lineage=registry.create(PluginKind.LINEAGE_BACKEND, lineage) if lineage else None,
        release_namespace=release_namespace,
        ends_pod_runs=ends_pod_runs,
    )
    if profile.sidecar is not None and profile.rules.sidecar_enabled:
        refuse_unusable(profile.sidecar)
    return profile


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
        current._in_force()
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
        except Exception as error:  # noqa: BLE001 - the edge of a reload: a plugin or a parser may raise anything
            self._refuse(f"Reading the manifest failed: {type(error).__name__} at {places(error)[-1]}.")
            return False
        self.profile, self.error = profile, None
        self._in_force()
        return True

    def _refuse(self, error: str) -> None:
        if error != self.error:
            _log.error("manifest refused, the last good one stays in force", reason=error)
            self.metrics.manifest_loads.labels("refused").inc()
        self.error = error
        self.metrics.manifest_valid.set(0)

    def _in_force(self) -> None:
        self.metrics.manifest_in_force(self.profile.identity)
        _log.info("manifest in force", profile=self.profile.identity)
        for notice in self.profile.notices:
            _log.warning("manifest asks for what cannot be", notice=notice)


async def follow(refresh: Callable[[], Awaitable[object]], *, seconds: float = POLL_SECONDS) -> None:
    """Refreshes every so many seconds until it is cancelled; what it raises is `leading.keep_running`'s to count."""
    while True:
        await asyncio.sleep(seconds)
        await refresh()
