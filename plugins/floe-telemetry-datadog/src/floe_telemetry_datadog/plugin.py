"""The telemetry backend Datadog: its OTLP intake, without an Agent.

Facts of docs.datadoghq.com, OpenTelemetry, "OTLP intake endpoint": hosts `otlp.<site>`, http/protobuf, header
`dd-api-key`, metrics as deltas only, traces a Preview that answers 403 until Datadog enables it.
"""

import os
from http import HTTPStatus
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, Field

from floe_core.artifacts import CompiledArtifacts
from floe_core.credentials import reference, resolve_all
from floe_core.plugin_interfaces.collector_values import (
    BaseUrl,
    CollectorSettings,
    VariableName,
    collector_values,
)
from floe_core.plugin_interfaces.connection import TIMEOUT_SECONDS, HttpProbe, Verdict, probe_http, tell
from floe_core.plugin_interfaces.metadata import Frozen
from floe_core.plugin_interfaces.telemetry import OTLPExporterConfig, Signal, TelemetryBackendPlugin

# The sites that have the intake; the government's has not.
DatadogSite = Literal[
    "datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "datadoghq.eu", "ap1.datadoghq.com", "ap2.datadoghq.com"
]

_SECRET = "datadog-credentials"  # noqa: S105 - a Secret's name
_API_KEY_HEADER = "dd-api-key"
# The intake takes 500 KB of metrics after compression (5 MB before) and 3.2 MB of traces in one request.
_REQUEST_MAX_BYTES = 2_000_000


class DatadogTelemetryConfig(Frozen):
    """`config:` of the backend in the manifest."""

    site: DatadogSite = Field(default="datadoghq.com", description="The organisation's site, as its address bar shows")
    traces: bool = Field(default=False, description="Send traces too: only if Datadog has enabled the Preview")
    api_key_variable: VariableName = Field(default="DD_API_KEY", description="Variable that holds the API key")
    endpoint: BaseUrl | None = Field(default=None, description="A gateway instead of https://otlp.<site>")
    api_endpoint: BaseUrl | None = Field(default=None, description="A gateway instead of https://api.<site>")
    collector: CollectorSettings = Field(default_factory=CollectorSettings)

    @property
    def otlp_url(self) -> str:
        """Base URL of the OTLP intake."""
        return self.endpoint or f"https://otlp.{self.site}"

    @property
    def api_url(self) -> str:
        """Base URL of the API that validates keys."""
        return self.api_endpoint or f"https://api.{self.site}"


class DatadogTelemetryPlugin(TelemetryBackendPlugin):
    """Sends metrics and logs, and traces where they are enabled, to Datadog."""

    name = "datadog"
    version = "0.1.0"
    description = "Datadog: metrics and logs, traces as a Preview, over OTLP/HTTP"
    config_schema: ClassVar[type[BaseModel] | None] = DatadogTelemetryConfig
    probe_timeout_seconds: float = TIMEOUT_SECONDS

    def __init__(self, config: BaseModel | None = None) -> None:
        super().__init__(config or DatadogTelemetryConfig())
        self._settings = DatadogTelemetryConfig.model_validate(self.config)

    def get_otlp_exporter_config(self, environment: str) -> OTLPExporterConfig:  # noqa: ARG002 - the key decides
        """http/protobuf with an endpoint for each signal, deltas, and the API key by reference."""
        url = self._settings.otlp_url
        signals: tuple[Signal, ...] = ("traces", "metrics", "logs") if self._settings.traces else ("metrics", "logs")
        return OTLPExporterConfig(
            endpoint=url,
            protocol="http/protobuf",
            headers={_API_KEY_HEADER: reference(self._settings.api_key_variable)},
            insecure=url.startswith("http:"),
            signals=signals,
            signal_endpoints={signal: f"{url}/v1/{signal}" for signal in signals},
            metrics_temporality="delta",
        )

    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        """A Collector that turns metrics into deltas and sends to Datadog."""
        return collector_values(
            self.name,
            self.get_otlp_exporter_config(environment),
            self._settings.collector,
            secret=_SECRET,
            credentials=artifacts.credentials,
            request_max_bytes=_REQUEST_MAX_BYTES,
        )

    def validate_connection(self, config: OTLPExporterConfig) -> bool:
        """Whether Datadog calls the key valid and the intake answers."""
        return tell(self.name, lambda: self._probe(config))

    def _probe(self, config: OTLPExporterConfig) -> Verdict:
        headers = resolve_all(config.headers, os.environ)
        each = self.probe_timeout_seconds / 2  # two calls within the bound
        validation = HttpProbe("GET", f"{self._settings.api_url}/api/v1/validate", headers)
        verdict = probe_http(validation, timeout_seconds=each)
        if not verdict.reachable:
            return verdict
        return probe_http(HttpProbe("GET", config.endpoint), judge=_judge_presence, timeout_seconds=each)


def _judge_presence(status: int) -> str | None:
    """The intake takes POSTs only: any answer but a failure of its own says that it is there."""
    return None if status < HTTPStatus.INTERNAL_SERVER_ERROR else f"the intake answers HTTP {status}"
