"""Helm values of a manifest's telemetry or lineage backend, with its credentials as Secret references."""

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from floe_core.artifacts import CompilationMetadata, CompiledArtifacts, ProductIdentity, ResolvedPlugin
from floe_core.errors import ConfigurationError, plugin_boundary
from floe_core.manifest import Manifest
from floe_core.plugin_interfaces import PluginKind, PluginRegistry

DEFAULT_ENVIRONMENT = "production"


def values_of(which: str, manifest: Manifest, environment: str | None) -> dict[str, Any]:
    """The values that the chosen backend's plugin gives.

    Args:
        which: `telemetry` or `lineage`.
        manifest: What chooses and configures the backend.
        environment: Deployment environment; None for the manifest's own, else production.

    Raises:
        ConfigurationError: The manifest chooses no such backend, or it cannot be used.
        PluginExecutionError: The plugin failed.
    """
    chosen = manifest.plugins.telemetry_backend if which == "telemetry" else manifest.plugins.lineage_backend
    if chosen is None:
        raise ConfigurationError(
            f"The manifest chooses no {which} backend.", where=f"plugins.{which}_backend", remedy="Name one there."
        )
    environment = environment or manifest.namespaces.environment or DEFAULT_ENVIRONMENT
    registry = PluginRegistry()
    artifacts = platform_artifacts(manifest)
    plugin = (
        registry.create(PluginKind.TELEMETRY_BACKEND, chosen)
        if which == "telemetry"
        else registry.create(PluginKind.LINEAGE_BACKEND, chosen)
    )
    with plugin_boundary(chosen.type, "get_helm_values"):
        return plugin.get_helm_values(artifacts, environment)


def platform_artifacts(manifest: Manifest) -> CompiledArtifacts:
    """Artifacts that stand for the platform as a whole, where no product has been compiled."""
    choices = {
        "telemetry_backend": manifest.plugins.telemetry_backend,
        "lineage_backend": manifest.plugins.lineage_backend,
    }
    return CompiledArtifacts(
        metadata=CompilationMetadata(
            compiled_at=datetime.now(UTC),
            floe_version=version("floe-core"),
            source_hash="sha256:" + "0" * 64,
            product_name=manifest.metadata.name,
            product_version=manifest.metadata.version,
        ),
        identity=ProductIdentity(
            product_id=manifest.metadata.name, domain=manifest.namespaces.domain or manifest.metadata.name
        ),
        plugins={
            kind: ResolvedPlugin(type=choice.type, version=choice.version, config=choice.config)
            for kind, choice in choices.items()
            if choice is not None
        },
    )
