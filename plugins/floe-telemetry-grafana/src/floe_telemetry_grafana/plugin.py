"""The telemetry backend Grafana Cloud: one OTLP gateway for traces, metrics and logs.

Facts of grafana.com/docs, Grafana Cloud, "OTLP endpoint": `https://otlp-gateway-<zone>.grafana.net/otlp`,
http/protobuf, Basic authentication by instance id and an access policy's token. It feeds Tempo, Mimir and Loki.
"""

import os
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, model_validator

from floe_core.artifacts import CompiledArtifacts
from floe_core.credentials import reference, resolve
from floe_core.errors import ConfigurationError
from floe_core.plugin_interfaces.collector_values import (
    BaseUrl,
    CollectorSettings,
    VariableName,
    collector_values,
)
from floe_core.plugin_interfaces.connection import TIMEOUT_SECONDS, HttpProbe, Verdict, probe_http, tell
from floe_core.plugin_interfaces.metadata import Frozen
from floe_core.plugin_interfaces.telemetry import BasicAuth, OTLPExporterConfig, TelemetryBackendPlugin

_SECRET = "grafana-cloud-credentials"  # noqa: S105 - a Secret's name
_GRAFANA_HOST = ".grafana.net"
_PATH = "/otlp"


class GrafanaCloudTelemetryConfig(Frozen):
    """`config:` of the backend in the manifest; one of `zone` and `endpoint`."""

    zone: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")] | None = Field(
        default=None, description="The stack's zone, e.g. prod-eu-west-2"
    )
    endpoint: BaseUrl | None = Field(default=None, description="The gateway's whole base URL, or one of your own")
    instance_id_variable: VariableName = Field(
        default="GRAFANA_CLOUD_INSTANCE_ID", description="Variable that holds the stack's instance id"
    )
    token_variable: VariableName = Field(
        default="GRAFANA_CLOUD_API_KEY", description="Variable that holds the access policy's token"
    )
    collector: CollectorSettings = Field(default_factory=CollectorSettings)

    @model_validator(mode="after")
    def _names_one_gateway(self) -> Self:
        if (self.zone is None) == (self.endpoint is None):
            raise ValueError("name either zone or endpoint")
        parts = urlsplit(self.gateway_url)
        if (parts.hostname or "").endswith(_GRAFANA_HOST) and parts.path != _PATH:
            raise ValueError(f"endpoint: Grafana Cloud's gateway is under {_PATH}; without it, it answers 404")
        return self

    @property
    def gateway_url(self) -> str:
        """Base URL to which the Collector appends `/v1/<signal>`."""
        return self.endpoint or f"https://otlp-gateway-{self.zone}{_GRAFANA_HOST}{_PATH}"


class GrafanaCloudTelemetryPlugin(TelemetryBackendPlugin):
    """Sends traces, metrics and logs to Grafana Cloud."""

    name = "grafana-cloud"
    version = "0.1.0"
    description = "Grafana Cloud: traces, metrics and logs, over OTLP/HTTP"
    config_schema: ClassVar[type[BaseModel] | None] = GrafanaCloudTelemetryConfig
    probe_timeout_seconds: float = TIMEOUT_SECONDS

    @property
    def _settings(self) -> GrafanaCloudTelemetryConfig:
        if self.config is None:
            raise ConfigurationError(
                "Grafana Cloud's gateway is not known.",
                where="plugins.telemetry_backend.config",
                remedy="Name the stack's zone, e.g. zone: prod-eu-west-2.",
            )
        return GrafanaCloudTelemetryConfig.model_validate(self.config)

    @property
    def is_configured(self) -> bool:
        """Whether the gateway is known: there is no default zone."""
        return self.config is not None

    def get_otlp_exporter_config(self, environment: str) -> OTLPExporterConfig:  # noqa: ARG002 - the token decides
        """http/protobuf to the gateway with Basic authentication by reference."""
        settings = self._settings
        return OTLPExporterConfig(
            endpoint=settings.gateway_url,
            protocol="http/protobuf",
            insecure=settings.gateway_url.startswith("http:"),
            basic_auth=BasicAuth(
                username=reference(settings.instance_id_variable), password=reference(settings.token_variable)
            ),
        )

    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        """A Collector that sends all signals to the gateway."""
        exporter = self.get_otlp_exporter_config(environment)
        return collector_values(
            "grafana", exporter, self._settings.collector, secret=_SECRET, credentials=artifacts.credentials
        )

    def validate_connection(self, config: OTLPExporterConfig) -> bool:
        """Whether the gateway takes an empty request with the credentials."""
        return tell(self.name, lambda: self._probe(config))

    def _probe(self, config: OTLPExporterConfig) -> Verdict:
        # A request without spans is zero bytes of protobuf.
        probe = HttpProbe(
            "POST",
            f"{config.endpoint}/v1/traces",
            {"content-type": "application/x-protobuf"},
            basic_auth=_resolved(config.basic_auth),
        )
        return probe_http(probe, timeout_seconds=self.probe_timeout_seconds)


def _resolved(credentials: BasicAuth | None) -> tuple[str, str] | None:
    if credentials is None:
        return None
    return resolve(credentials.username, os.environ), resolve(credentials.password, os.environ)
