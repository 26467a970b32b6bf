"""The interface of computes: where queries run, and whether it can be reached (FR-019)."""

from abc import abstractmethod
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, SecretStr

from floe_core.plugin_interfaces.metadata import Frozen, PluginMetadata


class ConnectionStatus(StrEnum):
    """How a probed system answered."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class ConnectionResult(Frozen):
    """The outcome of one probe of a compute."""

    status: ConnectionStatus
    latency_ms: float = Field(ge=0)
    message: str = ""
    warnings: tuple[str, ...] = ()


class ComputeConfig(Frozen):
    """How to reach and use a compute."""

    plugin: str
    timeout_seconds: float = Field(default=3600, gt=0)
    threads: int = Field(default=4, ge=1)
    connection: dict[str, Any] = Field(default_factory=dict)
    credentials: dict[str, SecretStr] = Field(default_factory=dict)


class CatalogConfig(Frozen):
    """A catalog that a compute attaches."""

    plugin: str
    name: str
    connection: dict[str, Any] = Field(default_factory=dict)


class ResourceSpec(Frozen):
    """Kubernetes resources for a workload."""

    cpu_request: str
    cpu_limit: str
    memory_request: str
    memory_limit: str


class DatasetName(Frozen):
    """What a table is called in OpenLineage (its naming of datasets)."""

    namespace: str
    name: str


class ComputePlugin(PluginMetadata):
    """A compute engine (entry points: `floe.computes`). All methods block; callers run them in threads."""

    @property
    @abstractmethod
    def is_self_hosted(self) -> bool:
        """Whether the platform team runs the engine."""

    @abstractmethod
    def generate_dbt_profile(self, config: ComputeConfig) -> dict[str, Any]:
        """The dbt profile's target."""

    @abstractmethod
    def get_required_dbt_packages(self) -> list[str]:
        """Python requirements that dbt needs for this engine."""

    @abstractmethod
    def validate_connection(self, config: ComputeConfig) -> ConnectionResult:
        """Probes the engine once, within `config.timeout_seconds`; a refusal is a result, not an exception."""

    @abstractmethod
    def get_resource_requirements(self, workload_size: Literal["small", "medium", "large"]) -> ResourceSpec:
        """Sensible resources for a workload of that size."""

    @abstractmethod
    def fetch_rows(self, config: ComputeConfig, sql: str, timeout_seconds: float) -> list[tuple[Any, ...]]:
        """Rows of one read-only query.

        Raises:
            floe_core.errors.ConnectionError: The engine cannot be reached.
            floe_core.errors.ExecutionError: The query failed or took longer than the timeout.
        """

    @property
    @abstractmethod
    def sql_dialect(self) -> str:
        """The engine's dialect as sqlglot names it."""

    def dataset_name(self, config: ComputeConfig, table: tuple[str, ...]) -> DatasetName | None:  # noqa: ARG002 - part of the interface
        """What a table is called in lineage, as the pipelines that write it call it; None if that cannot be known.

        Args:
            config: How the engine is reached.
            table: Parts of the table's name, outermost first; outer ones may be missing.
        """
        return None

    def get_dbt_macro_paths(self) -> list[str]:
        """Folders with dbt macros that the engine needs."""
        return []

    def get_catalog_attachment_sql(self, catalog: CatalogConfig) -> list[str] | None:  # noqa: ARG002 - part of the interface
        """Statements that attach a catalog, or None where the engine needs none."""
        return None
