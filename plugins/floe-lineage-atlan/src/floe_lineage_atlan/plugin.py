"""The lineage backend plugin for Atlan.

Events go to `/events/openlineage/<source>/api/v1/lineage` with an API token as Bearer token
(docs.atlan.com, "Integrate Generic OpenLineage"; lineage.md §2.3). `/api/openlineage` and the header
`X-Atlan-API-Key` of older texts do not exist.
"""

from functools import partial
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from floe_core.artifacts import CompiledArtifacts
from floe_core.credentials import SecretKey, reference
from floe_core.errors import ConfigurationError
from floe_core.lineage.backend import Credential, HttpBackendConfig, HttpsOrigin, job_values
from floe_core.lineage.probing import probe_account
from floe_core.namespaces import NamespaceStrategy
from floe_core.plugin_interfaces import LineageBackendPlugin, OpenLineageTransport
from floe_core.plugin_interfaces.connection import TIMEOUT_SECONDS, tell

_SECRET = SecretKey(secret="atlan-credentials", key="api_key")  # noqa: S106 - names of a Secret and its key
# developer.atlan.com/endpoints: any token may read the type definitions; the enumerations are the short list of them.
_ACCOUNT_PATH = "/api/meta/types/typedefs?type=ENUM"


class AtlanConfig(HttpBackendConfig):
    """`config:` of the plugin in the manifest."""

    url: HttpsOrigin = Field(description="Origin of the tenant, e.g. https://acme.atlan.com")
    source: str = Field(
        default="generic-openlineage",
        pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$",
        description="Kind of source as Atlan spells it: generic-openlineage, airflow, airflow-mwaa, spark, …",
    )
    api_token: Credential = Field(default=reference("ATLAN_API_TOKEN"), description="Reference to the API token")


class AtlanLineagePlugin(LineageBackendPlugin):
    """Sends lineage to an Atlan tenant; `job.namespace` must be the name of the Atlan connection."""

    name = "atlan"
    version = "0.1.0"
    description = "Atlan, by its OpenLineage intake"
    config_schema: ClassVar[type[BaseModel] | None] = AtlanConfig
    config: AtlanConfig | None
    probe_timeout_seconds: ClassVar[float] = TIMEOUT_SECONDS

    def get_transport_config(self, environment: str) -> OpenLineageTransport:  # noqa: ARG002 - one tenant for all
        """The tenant's intake for the source, with the API token as Bearer token.

        Raises:
            ConfigurationError: No address is configured.
        """
        if self.config is None:
            raise ConfigurationError(
                "The plugin atlan needs the tenant's address.", remedy="Set `url`, e.g. https://acme.atlan.com."
            )
        endpoint = f"events/openlineage/{self.config.source}/api/v1/lineage"
        return self.config.transport(endpoint=endpoint, api_key=self.config.api_token)

    def get_namespace_strategy(self) -> NamespaceStrategy:
        """`centralized` (REQ-058); a manifest's `namespaces.template` names the Atlan connection instead."""
        return NamespaceStrategy.CENTRALIZED

    def get_helm_values(self, artifacts: CompiledArtifacts, environment: str) -> dict[str, Any]:
        """Address, namespace and the token as a Secret's key; see `job_values`."""
        return job_values(
            self.get_transport_config(environment),
            artifacts=artifacts,
            strategy=self.get_namespace_strategy(),
            environment=environment,
            secret=_SECRET,
        )

    def validate_connection(self, config: OpenLineageTransport) -> bool:
        """Whether the tenant accepts the token; nothing is written to find out."""
        return tell(
            self.name, partial(probe_account, config, _ACCOUNT_PATH, timeout_seconds=self.probe_timeout_seconds)
        )
