"""The telemetry backend Jaeger: OTLP over gRPC, traces only, no credential of its own.

Jaeger 2 takes OTLP itself on port 4317; the Collector's exporter `jaeger` and port 14250 are gone.
"""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, Field

from floe_core.artifacts import CompiledArtifacts
from floe_core.plugin_interfaces.collector_values import CollectorSettings, collector_values
from floe_core.plugin_interfaces.connection import TIMEOUT_SECONDS, probe_tcp, tell
from floe_core.plugin_interfaces.metadata import Frozen
from floe_core.plugin_interfaces.telemetry import OTLPExporterConfig, TelemetryBackendPlugin

_LAST_PORT = 65535


def _host_and_port(value: str) -> str:
    if not 0 < int(value.rpartition(":")[2]) <= _LAST_PORT:
        raise ValueError(f"has a port outside 1 to {_LAST_PORT}")
    return value


class JaegerTelemetryConfig(Frozen):
    """`config:` of the backend in the manifest."""

    endpoint: Annotated[
        str, Field(pattern=r"^([^\s/:@\[\]]+|\[[0-9A-Fa-f:.]+\]):\d{1,5}$"), AfterValidator(_host_and_port)
    ] = Field(default="jaeger:4317", description="host:port of Jaeger's OTLP/gRPC receiver")
    insecure: bool = Field(default=True, description="No TLS, as Jaeger starts by default inside a cluster")
    collector: CollectorSettings = Field(default_factory=CollectorSettings)


class JaegerTelemetryPlugin(TelemetryBackendPlugin):
    """Sends traces to Jaeger; metrics and logs stay with the chart's own pipelines, because Jaeger takes neither."""

    name = "jaeger"
    version = "0.1.0"
    description = "Jaeger 2: traces, over OTLP/gRPC"
    config_schema: ClassVar[type[BaseModel] | None] = JaegerTelemetryConfig
    probe_timeout_seconds: float = TIMEOUT_SECONDS

    def __init__(self, config: BaseModel | None = None) -> None:
        super().__init__(config or JaegerTelemetryConfig())
        self._settings = JaegerTelemetryConfig.model_validate(self.config)

    def get_otlp_exporter_config(self, environment: str) -> OTLPExporterConfig:  # noqa: ARG002 - one backend for all
        """To the endpoint over gRPC, traces only."""
        return OTLPExporterConfig(
            endpoint=self._settings.endpoint, protocol="grpc", insecure=self._settings.insecure, signals=("traces",)
        )

    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:  # noqa: ARG002 - as above
        """A Collector that sends traces to Jaeger."""
        exporter = self.get_otlp_exporter_config(environment)
        return collector_values(self.name, exporter, self._settings.collector)

    def validate_connection(self, config: OTLPExporterConfig) -> bool:
        """Whether a TCP connection can be opened (REQ-054: self-hosted); TLS is not looked at."""
        host, _, port = config.endpoint.rpartition(":")
        return tell(
            self.name,
            lambda: probe_tcp(host.strip("[]"), int(port), timeout_seconds=self.probe_timeout_seconds),
        )
