"""The interface of lineage backends: where and how OpenLineage events are sent (REQ-056 to REQ-060)."""

from abc import abstractmethod
from typing import Any, Literal

from pydantic import Field

from floe_core.artifacts import CompiledArtifacts
from floe_core.namespaces import NamespaceStrategy
from floe_core.plugin_interfaces.metadata import Frozen, PluginMetadata

DEFAULT_ENDPOINT = "api/v1/lineage"


class OpenLineageTransport(Frozen):
    """A transport of the OpenLineage client.

    Credentials are references `${env:NAME}`; whoever builds a client resolves them first (REQ-057).
    """

    type: Literal["http", "kafka", "console", "file"] = "http"
    url: str | None = Field(default=None, description="Base URL for http; the client joins `endpoint` to it")
    endpoint: str = Field(default=DEFAULT_ENDPOINT, description="Path of the events; a leading / makes it absolute")
    batch_endpoint: str | None = Field(
        default=None, description="Path that takes arrays of events (OpenLineage 2.0.2), for a backend that has one"
    )
    auth: dict[str, str] = Field(
        default_factory=dict, description='As the client takes it, e.g. {"type": "api_key", "apiKey": "${env:NAME}"}'
    )
    timeout: float = Field(default=5.0, gt=0, description="Seconds per attempt")
    headers: dict[str, str] = Field(default_factory=dict)
    verify: bool = True
    compression: Literal["gzip"] | None = None
    retry: dict[str, Any] = Field(default_factory=dict, description="As the client takes it: total, backoff_factor, …")

    def client_config(self) -> dict[str, Any]:
        """The `transport:` mapping that openlineage-python reads; references stand in it unresolved."""
        if self.type != "http":
            return {"type": self.type}
        config: dict[str, Any] = {
            "type": "http",
            "url": self.url,
            "endpoint": self.endpoint,
            "timeout": self.timeout,
            "verify": self.verify,
        }
        optional = {
            "auth": self.auth,
            "custom_headers": self.headers,
            "compression": self.compression,
            "retry": self.retry,
        }
        return config | {key: value for key, value in optional.items() if value}


class LineageBackendPlugin(PluginMetadata):
    """Configures an OpenLineage backend (entry points: `floe.lineage_backends`)."""

    @abstractmethod
    def get_transport_config(self, environment: str) -> OpenLineageTransport:
        """The transport for an environment, e.g. `production`."""

    @abstractmethod
    def get_namespace_strategy(self) -> NamespaceStrategy:
        """The job namespace strategy that the backend expects unless the manifest sets another (REQ-058)."""

    @abstractmethod
    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        """Values for a job's chart: `env:` entries for the OpenLineage client (REQ-059)."""

    @abstractmethod
    def validate_connection(self, config: OpenLineageTransport) -> bool:
        """Whether the backend can be reached with credentials that it accepts; bounded to 10 s, a reason is logged."""
