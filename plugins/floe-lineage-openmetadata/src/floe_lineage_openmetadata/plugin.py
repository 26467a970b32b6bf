"""The lineage backend plugin for OpenMetadata 2.0 and later.

Events go to `/api/v1/openlineage/lineage` with a JWT as Bearer token (docs.open-metadata.org, API reference,
"OpenLineage Events"; lineage.md §2.3). `/api/v1/lineage` is OpenMetadata's own lineage API, not OpenLineage's.
"""

from functools import partial
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from floe_core.artifacts import CompiledArtifacts
from floe_core.credentials import SecretKey, reference
from floe_core.errors import ConfigurationError
from floe_core.lineage.backend import Credential, HttpBackendConfig, job_values
from floe_core.lineage.probing import probe_account
from floe_core.namespaces import NamespaceStrategy
from floe_core.plugin_interfaces import LineageBackendPlugin, OpenLineageTransport
from floe_core.plugin_interfaces.connection import TIMEOUT_SECONDS, tell

_SECRET = SecretKey(secret="openmetadata-credentials", key="jwt_token")  # noqa: S106 - names of a Secret and its key
_ENDPOINT = "api/v1/openlineage/lineage"
_ACCOUNT_PATH = "/api/v1/users/loggedInUser"


class OpenMetadataConfig(HttpBackendConfig):
    """`config:` of the plugin in the manifest."""

    jwt_token: Credential = Field(
        default=reference("OPENMETADATA_JWT_TOKEN"), description="Reference to the JWT of a bot that may edit lineage"
    )


class OpenMetadataLineagePlugin(LineageBackendPlugin):
    """Sends lineage to an OpenMetadata server; by default it makes edges of COMPLETE events only."""

    name = "openmetadata"
    version = "0.1.0"
    description = "OpenMetadata 2.0 and later, by its OpenLineage API"
    config_schema: ClassVar[type[BaseModel] | None] = OpenMetadataConfig
    config: OpenMetadataConfig | None
    probe_timeout_seconds: ClassVar[float] = TIMEOUT_SECONDS

    def get_transport_config(self, environment: str) -> OpenLineageTransport:  # noqa: ARG002 - one server for all
        """The server's OpenLineage API, with the bot's JWT as Bearer token.

        Raises:
            ConfigurationError: No address is configured.
        """
        if self.config is None:
            raise ConfigurationError(
                "The plugin openmetadata needs the server's address.",
                remedy="Set `url`, e.g. https://openmetadata.example.com.",
            )
        # The JWT is the key itself, so the client's `api_key` is right; its `jwt` would ask a token endpoint first.
        return self.config.transport(endpoint=_ENDPOINT, api_key=self.config.jwt_token)

    def get_namespace_strategy(self) -> NamespaceStrategy:
        """`centralized` (REQ-058)."""
        return NamespaceStrategy.CENTRALIZED

    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        """Address, namespace and the JWT as a Secret's key; see `job_values`."""
        return job_values(
            self.get_transport_config(environment),
            artifacts=artifacts,
            strategy=self.get_namespace_strategy(),
            environment=environment,
            secret=_SECRET,
        )

    def validate_connection(self, config: OpenLineageTransport) -> bool:
        """Whether the server knows whose token it is; nothing is written to find out."""
        return tell(
            self.name, partial(probe_account, config, _ACCOUNT_PATH, timeout_seconds=self.probe_timeout_seconds)
        )
