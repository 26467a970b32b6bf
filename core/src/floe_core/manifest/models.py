"""The platform manifest: what a platform team chooses once, as strict frozen models.

The published JSON Schema is made from these models; `floe_core.manifest.loading` reads a file into them.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from floe_core.errors import ConfigurationError
from floe_core.manifest.enrichment import Enrichment
from floe_core.manifest.relaying import BackendTls, Proxy, Redaction
from floe_core.manifest.sections import (
    DNS_LABEL,
    CredentialSource,
    KubernetesName,
    Port,
    Quantity,
    Section,
    Url,
)
from floe_core.namespaces import DEFAULT_TENANT, NamespaceStrategy, fields_of

API_VERSION = "floe.dev/v1"

_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


class Metadata(Section):
    """Who this platform is."""

    name: Annotated[str, Field(pattern=DNS_LABEL, description="Name of the platform")]
    version: str = Field(default="1.0.0", pattern=r"^\d+\.\d+\.\d+$", description="Version of this manifest (SemVer)")
    owner: str | None = Field(default=None, description="Whom to ask")
    description: str | None = Field(default=None, description="What it is for")


class PluginChoice(Section):
    """A plugin and its configuration; `config` is judged by the plugin's own schema."""

    type: str = Field(description="Entry-point name of the plugin, e.g. jaeger")
    version: str | None = Field(
        default=None, pattern=r"^\d+\.\d+\.\d+$", description="Exact version that must be installed"
    )
    config: dict[str, Any] = Field(default_factory=dict, description="As the plugin's README says")
    connection_secret_ref: KubernetesName | None = Field(
        default=None, description="Secret with the connection's credentials"
    )


class AlertChannelChoice(PluginChoice):
    """An alert channel; several of one type are told apart by name."""

    name: Annotated[str, Field(pattern=DNS_LABEL, description="Name that routing rules use")]


class Plugins(Section):
    """The active plugins."""

    telemetry_backend: PluginChoice | None = None
    lineage_backend: PluginChoice | None = None
    catalog: PluginChoice | None = None
    compute: PluginChoice | None = None
    quality: PluginChoice | None = None
    orchestrator: PluginChoice | None = None
    alert_channels: tuple[AlertChannelChoice, ...] = ()

    @model_validator(mode="after")
    def _channel_names_are_unique(self) -> Self:
        names = [channel.name for channel in self.alert_channels]
        if twice := [str(at) for at, name in enumerate(names) if name in names[:at]]:
            raise ValueError(f"alert channel names must be unique; given before: alert_channels[{', '.join(twice)}]")
        return self


# Whatever a consumer takes, a line break or another control character is nobody's namespace.
_LINE = r"^[^\x00-\x1f\x7f]*$"
NamespacePart = Annotated[str, Field(pattern=_LINE, max_length=255)]


class Namespaces(Section):
    """How job namespaces are named. Without `strategy` and `template` the lineage backend's default holds (REQ-058)."""

    strategy: NamespaceStrategy | None = Field(default=None, description="By default the lineage backend's")
    template: Annotated[str, Field(pattern=_LINE, max_length=1024)] | None = Field(
        default=None, description="A format of one's own, e.g. {organization}.{domain}"
    )
    tenant: NamespacePart = Field(default=DEFAULT_TENANT, description="For `simple`")
    organization: NamespacePart | None = Field(default=None, description="For `centralized`")
    environment: NamespacePart | None = Field(default=None, description="For `environment`, e.g. production")
    domain: NamespacePart | None = Field(default=None, description="A pod's annotation floe.dev/domain wins")

    @field_validator("template")
    @classmethod
    def _template_is_valid(cls, template: str | None) -> str | None:
        if template is not None:
            try:
                fields_of(template)
            except ConfigurationError as error:
                raise ValueError(f"{error.what} {error.remedy}") from None
        return template

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.strategy is not None and self.template is not None:
            raise ValueError("give either `strategy` or `template`, not both")
        return self


class TelemetryRoute(StrEnum):
    """Where a pod's telemetry goes (design: where telemetry and lineage go)."""

    COLLECTOR = "collector"
    RELAY = "relay"
    DIRECT = "direct"


class Collector(Section):
    """The OpenTelemetry Collector that pods export to."""

    endpoint: Url = Field(
        default="http://otel-collector.observability.svc:4318", description="Base URL, without a path"
    )
    protocol: Literal["http/protobuf", "grpc"] = Field(
        default="http/protobuf", description="Port 4318 usually, 4317 for grpc"
    )


class Gateway(Section):
    """Where lineage goes from pods without a sidecar, and what a sidecar could not deliver at its pod's end."""

    url: Url | None = Field(default=None, description="Origin of the release's gateway; without it, the backend itself")
    secret: str = Field(
        default="floe-gateway-token", min_length=1, description="Secret of each namespace that holds its token"
    )
    key: str = Field(default="token", min_length=1, description="The token's key in it")


OverridableBy = Literal[
    "containers", "exclude-containers", "init-containers", "environment-only",
    "sidecar-cpu-request", "sidecar-cpu-limit", "sidecar-memory-request", "sidecar-memory-limit", "sidecar-log-level",
    "product", "domain", "environment", "tenant", "organization",
]  # fmt: skip


class ResourceList(Section):
    """Kubernetes resources of a container."""

    cpu: Quantity
    memory: Quantity


class SidecarResources(Section):
    """Requests and limits of the sidecar; in a Guaranteed pod the requests equal the limits."""

    requests: ResourceList = Field(
        default=ResourceList(cpu="10m", memory="48Mi"), description="By default cpu 10m, memory 48Mi"
    )
    limits: ResourceList = Field(
        default=ResourceList(cpu="250m", memory="64Mi"), description="By default cpu 250m, memory 64Mi"
    )


class Sidecar(Section):
    """The relay in each pod."""

    enabled: bool = Field(default=True, description="Without it pods get the environment only")
    image: str = Field(default="floe-sidecar:0.1.0", pattern=r"^\S+$", description="Image, by tag or by digest")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="As Kubernetes understands it"
    )
    image_pull_secrets: tuple[KubernetesName, ...] = Field(
        default=(), description="Secrets of the pod's namespace that the image is pulled with; added to the pod's own"
    )
    run_as_user: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=65532, description="User and group; null leaves both to the image and the platform (OpenShift)"
    )
    resources: SidecarResources = SidecarResources()
    port: Port = Field(default=4327, description="Port on 127.0.0.1 for the application")
    health_port: Port = Field(default=4328, description="Port on the pod's address for health and metrics")
    spool_size: Quantity = Field(default="256Mi", description="Size limit of the spool volume")
    shutdown_seconds: float = Field(default=20.0, gt=0, le=600, description="Longest flush at the pod's end")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Of the sidecar")
    export_metrics: bool = Field(
        default=True,
        description="Whether its metrics go to the collector, if pods' telemetry does, by http/protobuf's port",
    )
    proxy: Proxy = Proxy()
    lineage_tls: BackendTls | None = Field(default=None, description="For a lineage backend on https")
    telemetry_tls: BackendTls | None = Field(default=None, description="For a telemetry backend on https, if relayed")
    gateway_ca: CredentialSource | None = Field(default=None, description="Authorities of a gateway on https")


FOREIGN_SIDECARS = (
    "istio-init", "istio-validation", "istio-proxy",
    "linkerd-init", "linkerd-network-validator", "linkerd-proxy",
    "consul-connect-inject-init", "consul-dataplane", "kuma-init", "kuma-sidecar", "daprd",
    "vault-agent-init", "vault-agent", "cloud-sql-proxy", "cloudsql-proxy", "alloydb-auth-proxy",
    "airflow-xcom-sidecar", "git-sync-init", "git-sync", "otc-container", "datadog-agent", "fluent-bit",
)  # fmt: skip
"""What injectors and charts of the field call the containers that they add beside an application."""


class ContainerSelection(Section):
    """Which containers of a pod are configured: all that are not excluded, or only those included."""

    include: tuple[str, ...] = Field(default=(), description="Names; empty means all that are not excluded")
    exclude: tuple[str, ...] = Field(default=FOREIGN_SIDECARS, description="Names of containers never configured")
    default_container: bool = Field(
        default=True,
        description="Without `include`: whether the annotation kubectl.kubernetes.io/default-container chooses one",
    )
    init_containers: bool = Field(default=True, description="Whether the user's init containers are configured too")


class Overrides(Section):
    """What a pod's annotations under floe.dev/ may change; docs/annotations.md has each."""

    allowed: tuple[OverridableBy, ...] = Field(
        default=tuple(name for name in get_args(OverridableBy) if name not in {"tenant", "organization"}),
        description="Annotations that count, without the prefix floe.dev/",
    )
    lineage_namespaces: tuple[str, ...] = Field(
        default=(),
        description="Patterns (`*`, `?`) of the values that floe.dev/lineage-namespace may have; {namespace} is the "
        "pod's Kubernetes namespace; none forbids the annotation",
    )
    sidecar_min: ResourceList = Field(
        default=ResourceList(cpu="10m", memory="48Mi"), description="The least that a pod may give its sidecar"
    )
    sidecar_max: ResourceList = Field(
        default=ResourceList(cpu="1", memory="512Mi"), description="The most that a pod may give its sidecar"
    )


class Injection(Section):
    """What is written into pods."""

    telemetry: TelemetryRoute = Field(
        default=TelemetryRoute.COLLECTOR,
        description="To the collector's Service, through the sidecar, or straight to the backend",
    )
    collector: Collector = Collector()
    gateway: Gateway = Gateway()
    sidecar: Sidecar = Sidecar()
    containers: ContainerSelection = ContainerSelection()
    redaction: Redaction = Redaction()
    enrichment: Enrichment = Enrichment()
    overrides: Overrides = Overrides()
    upgrade_injected: bool = Field(
        default=False,
        description="Whether a pod that comes injected by an older version or manifest is injected anew (never twice)",
    )
    use_labels_for_resource_attributes: bool = Field(
        default=True,
        description="Whether app.kubernetes.io labels name service.name and service.version (semconv k8s-attributes)",
    )


class CheckIntervals(Section):
    """Minutes between two checks of one contract, by type (FR-003)."""

    freshness_minutes: float = Field(default=15, gt=0, description="Between two freshness checks")
    schema_drift_minutes: float = Field(default=60, gt=0, description="Between two schema drift checks")
    quality_minutes: float = Field(default=360, gt=0, description="Between two quality checks")
    availability_minutes: float = Field(default=5, gt=0, description="Between two availability checks")


class SeverityThresholds(Section):
    """When a finding weighs more (FR-024)."""

    info_pct: float = Field(default=80, ge=0, le=100, description="Share of the threshold that is worth a note")
    warning_pct: float = Field(default=90, ge=0, le=100, description="Share of the threshold that is a warning")
    critical_count: int = Field(default=3, ge=1, description="More findings than this within the window are critical")
    critical_window_hours: float = Field(default=24, gt=0, description="Window of `critical_count`")


class AlertRoutingRule(Section):
    """Which findings go to which channel (FR-028)."""

    channel_name: str = Field(description="Name of an alert channel")
    min_severity: Literal["info", "warning", "error", "critical"] = Field(
        default="warning", description="Lighter findings are not sent"
    )
    contract_filter: str | None = Field(default=None, description="Glob on the contract's name")


class Alerts(Section):
    """Routing, repeats and rates (FR-028 to FR-030)."""

    routing_rules: tuple[AlertRoutingRule, ...] = ()
    dedup_window_minutes: float = Field(default=30, gt=0, description="A repeat within it is not sent")
    rate_limit_per_contract: int = Field(default=10, ge=1, description="Most alerts of one contract in a window")
    rate_limit_window_minutes: float = Field(default=60, gt=0, description="Window of the rate limit")


class Monitoring(Section):
    """The contract monitor (FR-044)."""

    enabled: bool = Field(default=True, description="Whether contracts are checked at all")
    mode: Literal["scheduled", "continuous", "on_demand"] = Field(
        default="scheduled", description="By intervals, without pause, or only when asked"
    )
    check_intervals: CheckIntervals = CheckIntervals()
    severity_thresholds: SeverityThresholds = SeverityThresholds()
    alerts: Alerts = Alerts()
    retention_days: int = Field(default=90, ge=1, description="Of single results; aggregates stay")
    clock_skew_tolerance_seconds: float = Field(
        default=60, ge=0, description="How far in the future a timestamp may lie"
    )
    check_timeout_seconds: float = Field(default=30, gt=0, description="Longest check; longer is a failure")
    calls_per_source: int = Field(
        default=16, ge=1, description="How many calls of one source go on at once, so that none holds up another"
    )
    contract_histograms_up_to: int = Field(
        default=200, ge=0, description="Contracts up to which durations are told of each; above, of each check only"
    )

    @property
    def check_timeout(self) -> timedelta:
        """`check_timeout_seconds` as a duration."""
        return timedelta(seconds=self.check_timeout_seconds)


class Logging(Section):
    """How the services log."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severity written")
    format: Literal["json", "console"] = Field(default="json", description="For machines or for people")


class Manifest(Section):
    """The platform manifest, `apiVersion: floe.dev/v1`, `kind: Manifest`."""

    api_version: Literal["floe.dev/v1"] = Field(alias="apiVersion", description="Version of this document's shape")
    kind: Literal["Manifest"] = Field(description="What this document is")
    metadata: Metadata
    plugins: Plugins = Plugins()
    credentials: dict[Annotated[str, Field(pattern=_VARIABLE)], CredentialSource] = Field(default_factory=dict)
    namespaces: Namespaces = Namespaces()
    injection: Injection = Injection()
    monitoring: Monitoring = Monitoring()
    logging: Logging = Logging()

    @model_validator(mode="after")
    def _routing_rules_name_channels(self) -> Self:
        channels = {channel.name for channel in self.plugins.alert_channels}
        for at, rule in enumerate(self.monitoring.alerts.routing_rules):
            if rule.channel_name not in channels:
                raise ValueError(
                    f"monitoring.alerts.routing_rules[{at}] names a channel that plugins.alert_channels lacks"
                )
        return self
