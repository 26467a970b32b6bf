"""The lineage backend plugin for Marquez: `POST /api/v1/lineage`, self-hosted, no authentication of its own."""

from functools import partial
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from floe_core.artifacts import CompiledArtifacts
from floe_core.credentials import SecretKey
from floe_core.errors import ConfigurationError
from floe_core.lineage.backend import Credential, HttpBackendConfig, job_values
from floe_core.lineage.probing import probe_server
from floe_core.namespaces import NamespaceStrategy
from floe_core.plugin_interfaces import LineageBackendPlugin, OpenLineageTransport
from floe_core.plugin_interfaces.connection import TIMEOUT_SECONDS, tell

_SECRET = SecretKey(secret="marquez-credentials", key="api_key")  # noqa: S106 - names of a Secret and its key


class MarquezConfig(HttpBackendConfig):
    """`config:` of the plugin in the manifest."""

    api_key: Credential | None = Field(
        default=None, description="For a proxy before Marquez that asks for a Bearer token, e.g. ${env:MARQUEZ_API_KEY}"
    )
    batch: bool = Field(
        default=False,
        description="Whether the server takes arrays of events at /api/v1/lineage/batch (OpenLineage 2.0.2)",
    )


class MarquezLineagePlugin(LineageBackendPlugin):
    """Sends lineage to a Marquez server."""

    name = "marquez"
    version = "0.1.0"
    description = "Marquez, self-hosted"
    config_schema: ClassVar[type[BaseModel] | None] = MarquezConfig
    config: MarquezConfig | None
    probe_timeout_seconds: ClassVar[float] = TIMEOUT_SECONDS

    def get_transport_config(self, environment: str) -> OpenLineageTransport:  # noqa: ARG002 - one server for all
        """The server's address, the client's own endpoint.

        Raises:
            ConfigurationError: No address is configured.
        """
        if self.config is None:
            raise ConfigurationError(
                "The plugin marquez needs an address.", remedy="Set `url`, e.g. http://marquez.lineage.svc:5000."
            )
        return self.config.transport(api_key=self.config.api_key, batch=self.config.batch)

    def get_namespace_strategy(self) -> NamespaceStrategy:
        """`simple`: one server is one tenant's (REQ-058)."""
        return NamespaceStrategy.SIMPLE

    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        """The address and the namespace; see `job_values`."""
        return job_values(
            self.get_transport_config(environment),
            artifacts=artifacts,
            strategy=self.get_namespace_strategy(),
            environment=environment,
            secret=_SECRET,
        )

    def validate_connection(self, config: OpenLineageTransport) -> bool:
        """Whether the server takes TCP connections."""
        return tell(self.name, partial(probe_server, config, timeout_seconds=self.probe_timeout_seconds))
