"""Helm values of a manifest's telemetry or lineage backend, with its credentials as Secret references."""

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from floe_core.artifacts import CompilationMetadata, CompiledArtifacts, ProductIdentity, ResolvedPlugin
from floe_core.credentials import SecretKey
from floe_core.errors import ConfigurationError, plugin_boundary
from floe_core.manifest import Manifest
from floe_core.manifest.checking import credentials_of
from floe_core.manifest.models import PluginChoice
from floe_core.namespaces import NamespaceParts, NamespaceStrategy, job_namespace
from floe_core.plugin_interfaces import PluginKind, PluginRegistry

DEFAULT_ENVIRONMENT = "production"


def values_of(which: str, manifest: Manifest, environment: str | None) -> dict[str, Any]:
    """The values that the chosen backend's plugin gives.

    Args:
        which: `telemetry` or `lineage`.
        manifest: What chooses and configures the backend.
        environment: Deployment environment; None for the manifest's own, else production.

    Raises:
        ConfigurationError: The manifest chooses no such backend, it cannot be used, or its namespaces lack a part.
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
    if which == "telemetry":
        telemetry = registry.create(PluginKind.TELEMETRY_BACKEND, chosen)
        secrets = _of_one_secret(chosen, credentials_of(telemetry, environment)) | artifacts.credentials
        artifacts = artifacts.model_copy(update={"credentials": secrets})
        with plugin_boundary(chosen.type, "get_helm_values"):
            return telemetry.get_helm_values(artifacts, environment)
    lineage = registry.create(PluginKind.LINEAGE_BACKEND, chosen)
    with plugin_boundary(chosen.type, "get_helm_values"):
        strategy = lineage.get_namespace_strategy()
    known = {
        "lineage_namespace": _platform_namespace(manifest, strategy, environment),
        "credentials": _of_one_secret(chosen, credentials_of(lineage, environment)) | artifacts.credentials,
    }
    with plugin_boundary(chosen.type, "get_helm_values"):
        return lineage.get_helm_values(artifacts.model_copy(update=known), environment)


def _of_one_secret(choice: PluginChoice, names: tuple[str, ...]) -> dict[str, SecretKey]:
    """Credentials in the Secret that `connection_secret_ref` names, as the webhook finds them: by their own names."""
    return (
        {name: SecretKey(choice.connection_secret_ref, name) for name in names} if choice.connection_secret_ref else {}
    )


def _platform_namespace(manifest: Manifest, default: NamespaceStrategy, environment: str) -> str:
    """The job namespace where no pod has said which product it belongs to: the platform stands for the product."""
    chosen = manifest.namespaces
    parts = NamespaceParts(
        product=manifest.metadata.name,
        domain=chosen.domain,
        environment=environment,
        organization=chosen.organization,
        tenant=chosen.tenant,
    )
    return job_namespace(chosen.template or (chosen.strategy or default).template, parts)


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
        credentials={name: SecretKey(source.secret, source.key) for name, source in manifest.credentials.items()},
    )
