"""The compute plugin for DuckDB files."""

import time
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from floe_compute_duckdb.connection import FileIsBeingWrittenError, reading, time_limit
from floe_core.errors import ConfigurationError, FloeError
from floe_core.plugin_interfaces.compute import (
    ComputeConfig,
    ComputePlugin,
    ConnectionResult,
    ConnectionStatus,
    DatasetName,
    ResourceSpec,
)
from floe_core.plugin_interfaces.metadata import HealthState, HealthStatus

_RESOURCES = {
    "small": ResourceSpec(cpu_request="250m", cpu_limit="1", memory_request="512Mi", memory_limit="1Gi"),
    "medium": ResourceSpec(cpu_request="1", cpu_limit="2", memory_request="2Gi", memory_limit="4Gi"),
    "large": ResourceSpec(cpu_request="4", cpu_limit="8", memory_request="8Gi", memory_limit="16Gi"),
}


class DuckDBComputeConfig(BaseModel):
    """`config:` of the plugin in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    path: Path = Field(description="The database file")
    lock_wait_seconds: float = Field(
        default=2.0, ge=0, le=60, description="How long a file that another process writes is waited for"
    )
    external_access: bool = Field(
        default=False, description="Whether queries may read other files and addresses, e.g. views on Parquet files"
    )


class DuckDBComputePlugin(ComputePlugin):
    """Runs queries on a DuckDB file, in this process."""

    name = "duckdb"
    version = "0.1.0"
    description = "DuckDB files, read in the process that asks"
    config_schema: ClassVar[type[BaseModel] | None] = DuckDBComputeConfig
    config: DuckDBComputeConfig | None

    @property
    def is_self_hosted(self) -> bool:
        """True: it runs in the caller's own process."""
        return True

    @property
    def sql_dialect(self) -> str:
        """`duckdb`."""
        return "duckdb"

    def generate_dbt_profile(self, config: ComputeConfig) -> dict[str, Any]:
        """A dbt-duckdb target that waits while a reader holds the file.

        Raises:
            ConfigurationError: No path is configured.
        """
        return {
            "type": "duckdb",
            "path": str(self._path(config)),
            "threads": config.threads,
            "retries": {"connect_attempts": 10, "retryable_exceptions": ["IOException"]},
        }

    def get_required_dbt_packages(self) -> list[str]:
        """dbt-duckdb."""
        return ["dbt-duckdb>=1.9"]

    def get_resource_requirements(self, workload_size: Literal["small", "medium", "large"]) -> ResourceSpec:
        """DuckDB works in the pod's own memory, so memory grows with the workload."""
        return _RESOURCES[workload_size]

    def validate_connection(self, config: ComputeConfig) -> ConnectionResult:
        """Opens the file and asks for one row; a file that is being written is degraded, not unhealthy."""
        begin = time.monotonic()
        try:
            self.fetch_rows(config, "SELECT 1", config.timeout_seconds)
        except FileIsBeingWrittenError as error:
            return _result(ConnectionStatus.DEGRADED, begin, error.what)
        except FloeError as error:
            return _result(ConnectionStatus.UNHEALTHY, begin, error.what)
        return _result(ConnectionStatus.HEALTHY, begin)

    def fetch_rows(self, config: ComputeConfig, sql: str, timeout_seconds: float) -> list[tuple[Any, ...]]:
        """Rows of one query on a connection of its own; see `ComputePlugin.fetch_rows`."""
        settings = self.config or DuckDBComputeConfig(path=self._path(config))
        deadline = time.monotonic() + timeout_seconds
        wait = min(settings.lock_wait_seconds, timeout_seconds)
        with (
            reading(self._path(config), wait_seconds=wait, external_access=settings.external_access) as connection,
            time_limit(connection, max(0.001, deadline - time.monotonic())),
        ):
            return connection.execute(sql).fetchall()

    def dataset_name(self, config: ComputeConfig, table: tuple[str, ...]) -> DatasetName:
        """As dbt's integration with OpenLineage names it: the file, then database, schema and table."""
        path = self._path(config)
        defaults = (path.stem, "main")
        parts = (*defaults[: max(0, 3 - len(table))], *table)
        return DatasetName(namespace=f"duckdb://{path}", name=".".join(parts))

    def health_check(self, timeout_seconds: float = 5.0) -> HealthStatus:
        """As `validate_connection`, on the plugin's own configuration."""
        if self.config is None:
            return HealthStatus(state=HealthState.UNHEALTHY, message="No path is configured.")
        result = self.validate_connection(ComputeConfig(plugin=self.name, timeout_seconds=timeout_seconds))
        return HealthStatus(state=HealthState(result.status.value), message=result.message)

    def _path(self, config: ComputeConfig) -> Path:
        """The caller's path, or the plugin's own."""
        if path := config.connection.get("path"):
            return Path(str(path))
        if self.config is None:
            raise ConfigurationError(
                "The plugin duckdb needs the path of a database file.", remedy="Set `path` in its configuration."
            )
        return self.config.path


def _result(status: ConnectionStatus, begin: float, message: str = "") -> ConnectionResult:
    return ConnectionResult(status=status, latency_ms=(time.monotonic() - begin) * 1000, message=message)
