"""The interface of telemetry backends: what an OpenTelemetry Collector needs to export to one (REQ-051 to REQ-055)."""

from abc import abstractmethod
from typing import Any, Literal

from pydantic import Field

from floe_core.artifacts import CompiledArtifacts
from floe_core.plugin_interfaces.metadata import Frozen, PluginMetadata

Signal = Literal["traces", "metrics", "logs"]


class BasicAuth(Frozen):
    """HTTP Basic credentials, as references `${env:NAME}`."""

    username: str
    password: str


class OTLPExporterConfig(Frozen):
    """An OTLP exporter of a Collector.

    Credentials are references `${env:NAME}`, never values (REQ-052).
    """

    endpoint: str = Field(
        description="Base URL for http/protobuf (the Collector appends v1/<signal>), host:port for grpc"
    )
    protocol: Literal["grpc", "http/protobuf"]
    headers: dict[str, str] = Field(default_factory=dict)
    compression: Literal["gzip", "none"] = "gzip"
    insecure: bool = Field(default=False, description="No TLS: for a backend inside the cluster")
    signals: tuple[Signal, ...] = Field(default=("traces", "metrics", "logs"), description="What the backend accepts")
    signal_endpoints: dict[Signal, str] = Field(
        default_factory=dict, description="Whole URLs that are used as they are"
    )
    basic_auth: BasicAuth | None = None
    metrics_temporality: Literal["cumulative", "delta"] = "cumulative"


class TelemetryBackendPlugin(PluginMetadata):
    """Configures an OTLP backend for traces, metrics and logs (entry points: `floe.telemetry_backends`)."""

    @abstractmethod
    def get_otlp_exporter_config(self, environment: str) -> OTLPExporterConfig:
        """The exporter configuration for an environment.

        Args:
            environment: Name of the deployment environment, e.g. `production`.
        """

    @abstractmethod
    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        """Values for the opentelemetry-collector Helm chart, or an empty dict if there is nothing to configure."""

    @abstractmethod
    def validate_connection(self, config: OTLPExporterConfig) -> bool:
        """Whether the backend can be reached with credentials that it accepts.

        TCP for a self-hosted backend, a documented authenticated call for a SaaS; bounded to 10 s. A reason is logged,
        never a credential (REQ-054).
        """
