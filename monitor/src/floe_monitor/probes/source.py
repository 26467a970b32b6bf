"""A source: the compute and the catalog that the manifest names, asked in worker threads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from floe_core.errors import ConfigurationError, plugin_boundary
from floe_core.plugin_interfaces.catalog import CatalogPlugin, Table
from floe_core.plugin_interfaces.compute import ComputeConfig, ComputePlugin, ConnectionResult, DatasetName
from floe_core.plugin_interfaces.quality import QualityPlugin, QualitySuite, QualitySuiteResult
from floe_monitor.probes.workers import Workers

# A plugin that keeps to its timeout answers before it is given up.
_GRACE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Source:
    """Where contracts' tables are.

    Attributes:
        timeout: Bound of every single call (`check_timeout_seconds`).
        connection: Connection values merged over the compute's own configuration.
        quality: Counts what quality rules are about; None if the manifest names no such plugin.
    """

    name: str
    compute: ComputePlugin | None
    catalog: CatalogPlugin | None
    workers: Workers
    timeout: timedelta
    connection: Mapping[str, Any] = field(default_factory=dict)
    quality: QualityPlugin | None = None

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a read-only query.

        Raises:
            FloeError: See `ComputePlugin.fetch_rows`.
        """
        compute, config = self._compute()
        seconds = self.timeout.total_seconds()

        def fetch() -> list[tuple[Any, ...]]:
            with plugin_boundary(compute.name, "fetch_rows"):
                return compute.fetch_rows(config, sql, seconds)

        return await self.workers.call(self.name, fetch, self.timeout + _GRACE)

    async def quality_of(
        self, plugin: QualityPlugin, suite: QualitySuite, table: tuple[str, ...]
    ) -> QualitySuiteResult:
        """What the quality plugin finds; it queries through the compute.

        Raises:
            FloeError: The source cannot be reached, or did not answer in time.
        """
        compute, config = self._compute()

        def query(sql: str) -> list[tuple[Any, ...]]:
            with plugin_boundary(compute.name, "fetch_rows"):
                return compute.fetch_rows(config, sql, suite.timeout_seconds)

        def run() -> QualitySuiteResult:
            with plugin_boundary(plugin.name, "run_suite"):
                return plugin.run_suite(suite, {"query": query, "dialect": self.dialect, "table": table})

        return await self.workers.call(self.name, run, self.timeout + _GRACE)

    async def ping(self) -> ConnectionResult:
        """One probe of the compute.

        Raises:
            FloeError: It raised or hung.
        """
        compute, config = self._compute()

        def validate() -> ConnectionResult:
            with plugin_boundary(compute.name, "validate_connection"):
                return compute.validate_connection(config)

        return await self.workers.call(self.name, validate, self.timeout + _GRACE)

    async def table(self, identifier: str) -> Table:
        """A table's description by the catalog.

        Raises:
            FloeError: There is no catalog, no such table, or the catalog cannot be reached.
        """
        catalog = self.catalog
        if catalog is None:
            raise ConfigurationError("The manifest names no catalog.", remedy="Set `plugins.catalog`.")

        def load() -> Table:
            with plugin_boundary(catalog.name, "load_table"):
                connected = catalog.connect({})
                try:
                    return connected.load_table(identifier)
                finally:
                    connected.close()

        return await self.workers.call(self.name, load, self.timeout + _GRACE)

    @property
    def dialect(self) -> str:
        """The compute's dialect as sqlglot names it; empty without a compute."""
        return self.compute.sql_dialect if self.compute else ""

    def dataset_name(self, table: tuple[str, ...]) -> DatasetName:
        """What a table is called in lineage; where the compute does not say, by the source's own name."""
        compute, config = self._compute()
        with plugin_boundary(compute.name, "dataset_name"):
            found = compute.dataset_name(config, table)
        return found or DatasetName(namespace=self.name, name=".".join(table))

    def _compute(self) -> tuple[ComputePlugin, ComputeConfig]:
        if self.compute is None:
            raise ConfigurationError("The manifest names no compute.", remedy="Set `plugins.compute`.")
        config = ComputeConfig(
            plugin=self.compute.name,
            timeout_seconds=self.timeout.total_seconds(),
            connection=dict(self.connection),
        )
        return self.compute, config
