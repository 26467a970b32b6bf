"""A platform manifest as pods need it: plugins asked once, variables rendered, nothing left to look up.

Immutable: a new manifest gives a new profile, which replaces the old one in one assignment (`floe_webhook.reload`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from floe_core.credentials import SecretKey
from floe_core.errors import ConfigurationError, plugin_boundary
from floe_core.manifest.enrichment import Enrichment
from floe_core.manifest.models import Manifest, PluginChoice, TelemetryRoute
from floe_core.namespaces import NamespaceParts
from floe_core.plugin_interfaces.lineage import LineageBackendPlugin
from floe_core.plugin_interfaces.telemetry import TelemetryBackendPlugin
from floe_webhook.asked import allowance_of
from floe_webhook.decision import EXCLUDED_NAMESPACES, Rules
from floe_webhook.ports import Ports
from floe_webhook.relayed_telemetry import RelayedTelemetry, relayed_telemetry
from floe_webhook.selection import Selection, selection_of
from floe_webhook.sidecar_enrichment import enrichment_delivery
from floe_webhook.sidecar_reaching import metrics_reaching, sidecar_reaching
from floe_webhook.targets import (
    LineageTarget,
    SecretOf,
    SidecarDelivery,
    TelemetryTarget,
    collector_target,
    direct_target,
    lineage_target,
    local_lineage,
    origin_of,
    sidecar_delivery,
)

DEFAULT_ENVIRONMENT = "production"
"""What plugins are asked for if the manifest names no environment."""


@dataclass(frozen=True, slots=True, eq=False)
class SidecarProfile:
    """The sidecar as the manifest wants it; each is its own key for what is made of it (`sidecar_container`).

    Attributes:
        image_pull_secrets: Names of Secrets in the pod's namespace.
        user: Its user and group; None leaves both to the image and the platform.
        spool_size: Kubernetes quantity of the spool's volume.
        shutdown_seconds: Longest flush at the pod's end.
        begins_runs: Whether it sends START of its pod's own run: only where the leader ends it.
    """

    image: str
    image_pull_policy: str
    image_pull_secrets: tuple[str, ...]
    user: int | None
    requests: Mapping[str, str]
    limits: Mapping[str, str]
    ports: Ports
    spool_size: str
    shutdown_seconds: float
    log_level: str
    redaction: bool
    delivery: SidecarDelivery
    enrichment: Enrichment
    begins_runs: bool


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Everything that is the same for all pods; each is its own key for what is made of it (`plan`).

    Attributes:
        identity: Names the manifest's content; stands in each pod that was injected by it.
        rules: What `floe_webhook.decision` needs.
        telemetry_with_sidecar: Where telemetry goes from a pod with the sidecar; None for nowhere.
        telemetry_without_sidecar: The same without one.
        relayed_telemetry: The road through the sidecar, if there is one.
        lineage_with_sidecar: Where lineage goes from a pod whose sidecar has the manifest's port; None for nowhere.
        lineage_without_sidecar: Where lineage goes from a pod without the sidecar; None for nowhere.
        namespace_template: Of the job namespace; None without a lineage backend.
        namespace_parts: What the manifest knows of it.
        environment: The manifest's environment, for `deployment.environment.name`.
        upgrade_injected: Whether a pod that comes injected otherwise is injected anew.
        notices: What the manifest asks for and cannot have, as sentences.
        gateway: Origin of the release's gateway; None without one.
    """

    identity: str
    rules: Rules
    sidecar: SidecarProfile | None
    lineage_with_sidecar: LineageTarget | None
    telemetry_with_sidecar: TelemetryTarget | None
    telemetry_without_sidecar: TelemetryTarget | None
    relayed_telemetry: RelayedTelemetry | None
    lineage_without_sidecar: LineageTarget | None
    namespace_template: str | None
    namespace_parts: NamespaceParts
    containers: Selection
    environment: str | None
    use_labels: bool
    upgrade_injected: bool
    notices: tuple[str, ...] = field(default=())
    gateway: str | None = None


def compile_profile(
    manifest: Manifest,
    *,
    telemetry: TelemetryBackendPlugin | None,
    lineage: LineageBackendPlugin | None,
    release_namespace: str | None = None,
    ends_pod_runs: bool = True,
) -> Profile:
    """The profile of a manifest and of the plugins that it names.

    Args:
        manifest: The platform's.
        telemetry: Its telemetry backend's plugin.
        lineage: Its lineage backend's plugin.
        release_namespace: Floe's own namespace.
        ends_pod_runs: Whether the webhook's leader follows ended pods.

    Raises:
        PluginExecutionError: A plugin fails.
        ConfigurationError: A plugin names a credential that the manifest's `credentials:` lacks.
    """
    injection = manifest.injection
    environment = manifest.namespaces.environment or DEFAULT_ENVIRONMENT
    notices: list[str] = []
    delivery = lineage_alone = None
    if lineage is not None:
        with plugin_boundary(lineage.name, "get_transport_config"):
            transport = lineage.get_transport_config(environment)
        secret_of = _secrets(manifest, manifest.plugins.lineage_backend)
        delivery = sidecar_delivery(transport, injection.gateway, secret_of, notices)
        lineage_alone = lineage_target(transport, injection.gateway, secret_of, notices)
    telemetry_alone = _telemetry(manifest, telemetry, environment, notices)
    ports = Ports(injection.sidecar.port, injection.sidecar.health_port)
    relayed = None
    if telemetry is not None and injection.telemetry is TelemetryRoute.RELAY:
        relayed = _relayed_telemetry(manifest, telemetry, environment, notices, has_sidecar=delivery is not None)
    if delivery is not None and relayed is not None:
        delivery = delivery.and_also(relayed.delivery)
    if delivery is not None:
        delivery = delivery.and_also(sidecar_reaching(injection)).and_also(enrichment_delivery(injection.enrichment))
    if delivery is not None and telemetry is not None:
        delivery = delivery.and_also(metrics_reaching(injection))
    return Profile(
        identity=_identity(manifest),
        rules=Rules(
            excluded_namespaces=EXCLUDED_NAMESPACES | ({release_namespace} if release_namespace else set()),
            sidecar_enabled=injection.sidecar.enabled,
            something_to_relay=delivery is not None,
            has_backend=bool(telemetry_alone or lineage_alone or delivery),
            ports=ports,
            allowance=allowance_of(injection.overrides),
        ),
        sidecar=_sidecar(manifest, ports, delivery, ends_pod_runs=ends_pod_runs) if delivery else None,
        lineage_with_sidecar=local_lineage(ports.application) if delivery else None,
        telemetry_with_sidecar=relayed.target(ports.application) if relayed else telemetry_alone,
        telemetry_without_sidecar=telemetry_alone,
        relayed_telemetry=relayed,
        lineage_without_sidecar=lineage_alone,
        namespace_template=_namespace_template(manifest, lineage),
        namespace_parts=NamespaceParts(
            domain=manifest.namespaces.domain,
            environment=manifest.namespaces.environment,
            organization=manifest.namespaces.organization,
            tenant=manifest.namespaces.tenant,
        ),
        containers=selection_of(injection.containers),
        environment=manifest.namespaces.environment,
        use_labels=injection.use_labels_for_resource_attributes,
        upgrade_injected=injection.upgrade_injected,
        notices=tuple(notices),
        gateway=origin_of(injection.gateway.url) if injection.gateway.url else None,
    )


def _relayed_telemetry(
    manifest: Manifest,
    plugin: TelemetryBackendPlugin,
    environment: str,
    notices: list[str],
    *,
    has_sidecar: bool,
) -> RelayedTelemetry | None:
    if not has_sidecar:
        notices.append(
            "injection.telemetry is relay, but without a lineage backend that it delivers to there is no sidecar; pods "
            "export to the collector at injection.collector.endpoint."
        )
        return None
    with plugin_boundary(plugin.name, "get_otlp_exporter_config"):
        exporter = plugin.get_otlp_exporter_config(environment)
    secret_of = _secrets(manifest, manifest.plugins.telemetry_backend)
    return relayed_telemetry(exporter, manifest.injection.collector, secret_of, notices)


def _telemetry(
    manifest: Manifest, plugin: TelemetryBackendPlugin | None, environment: str, notices: list[str]
) -> TelemetryTarget | None:
    if plugin is None:
        return None
    collector = collector_target(manifest.injection.collector)
    if manifest.injection.telemetry is not TelemetryRoute.DIRECT:
        return collector
    with plugin_boundary(plugin.name, "get_otlp_exporter_config"):
        exporter = plugin.get_otlp_exporter_config(environment)
    secret_of = _secrets(manifest, manifest.plugins.telemetry_backend)
    return direct_target(exporter, secret_of, notices) or collector


def _secrets(manifest: Manifest, choice: PluginChoice | None) -> SecretOf:
    """`credentials:` of the manifest first, then the plugin's own Secret, whose keys are the credentials' names."""

    def secret_of(name: str) -> SecretKey:
        if source := manifest.credentials.get(name):
            return SecretKey(source.secret, source.key)
        if choice is not None and choice.connection_secret_ref:
            return SecretKey(choice.connection_secret_ref, name)
        raise ConfigurationError(
            f"The manifest does not say which Secret holds the credential {name}.",
            where=f"credentials.{name}",
            remedy=f"Add `credentials: {{{name}: {{secret: <name of the Secret>, key: <its key>}}}}`.",
            details={"variable": name},
        )

    return secret_of


def _namespace_template(manifest: Manifest, plugin: LineageBackendPlugin | None) -> str | None:
    if plugin is None:
        return None
    if manifest.namespaces.template is not None:
        return manifest.namespaces.template
    if manifest.namespaces.strategy is not None:
        return manifest.namespaces.strategy.template
    with plugin_boundary(plugin.name, "get_namespace_strategy"):
        return plugin.get_namespace_strategy().template


def _sidecar(manifest: Manifest, ports: Ports, delivery: SidecarDelivery, *, ends_pod_runs: bool) -> SidecarProfile:
    sidecar, enrichment = manifest.injection.sidecar, manifest.injection.enrichment
    return SidecarProfile(
        image=sidecar.image,
        image_pull_policy=sidecar.image_pull_policy,
        image_pull_secrets=tuple(dict.fromkeys(sidecar.image_pull_secrets)),
        user=sidecar.run_as_user,
        requests=sidecar.resources.requests.model_dump(),
        limits=sidecar.resources.limits.model_dump(),
        ports=ports,
        spool_size=sidecar.spool_size,
        shutdown_seconds=sidecar.shutdown_seconds,
        log_level=sidecar.log_level.upper(),
        redaction=manifest.injection.redaction.enabled,
        delivery=delivery,
        enrichment=enrichment,
        # The leader sends the end through the gateway.
        begins_runs=enrichment.pod_run and ends_pod_runs and manifest.injection.gateway.url is not None,
    )


def _identity(manifest: Manifest) -> str:
    content: dict[str, Any] = manifest.model_dump(
        mode="json", include={"plugins", "credentials", "namespaces", "injection"}
    )
    return hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()[:12]
