"""Sources for tests: a compute that does as it is told, and one over a real DuckDB file."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb

from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces.compute import (
    ComputeConfig,
    ComputePlugin,
    ConnectionResult,
    ConnectionStatus,
    ResourceSpec,
)
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_monitor.probes.source import Source
from floe_monitor.probes.workers import Workers

HEALTHY = ConnectionResult(status=ConnectionStatus.HEALTHY, latency_ms=1)
DOWN = ConnectionResult(status=ConnectionStatus.UNHEALTHY, latency_ms=1, message="refused")


class ToldCompute(ComputePlugin):
    """A compute whose answers are functions, so that it can hang, raise or lie."""

    name = "told"
    version = "0.1.0"
    is_self_hosted = True
    sql_dialect = "duckdb"

    def __init__(
        self,
        *,
        rows: Callable[[], list[tuple[Any, ...]]] = list,
        ping: Callable[[], ConnectionResult] = lambda: HEALTHY,
    ) -> None:
        super().__init__()
        self.rows = rows
        self.ping = ping
        self.queries: list[str] = []

    def fetch_rows(self, config: ComputeConfig, sql: str, timeout_seconds: float) -> list[tuple[Any, ...]]:
        assert config.timeout_seconds == timeout_seconds
        self.queries.append(sql)
        return self.rows()

    def validate_connection(self, config: ComputeConfig) -> ConnectionResult:
        assert config.plugin == self.name
        return self.ping()

    def generate_dbt_profile(self, config: ComputeConfig) -> dict[str, Any]:
        return {"type": config.plugin}

    def get_required_dbt_packages(self) -> list[str]:
        return []

    def get_resource_requirements(self, workload_size: Literal["small", "medium", "large"]) -> ResourceSpec:
        raise NotImplementedError(workload_size)


def told_source(compute: ToldCompute, *, timeout: float = 5.0, workers: Workers | None = None) -> Source:
    """A source over a told compute."""
    return Source(compute.name, compute, None, workers or Workers(), timedelta(seconds=timeout))


def duckdb_source(path: Path) -> Source:
    """A source over a real file, through the plugins as they are installed."""
    registry = PluginRegistry()
    choice = PluginChoice(type="duckdb", config={"path": str(path)})
    return Source(
        "duckdb",
        registry.create(PluginKind.COMPUTE, choice),
        registry.create(PluginKind.CATALOG, choice),
        Workers(),
        timedelta(seconds=10),
    )


def make_orders(path: Path, *, age: timedelta) -> None:
    """A table `orders` whose newest row is so old."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE OR REPLACE TABLE orders AS SELECT 1 AS id, now() - to_seconds(?) AS updated_at",
            [age.total_seconds()],
        )
