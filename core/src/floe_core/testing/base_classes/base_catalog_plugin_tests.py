"""What every catalog plugin must satisfy (FR-011, FR-014)."""

from collections.abc import Iterator
from typing import Any

import pytest

from floe_core.errors import ConnectionError as FloeConnectionError
from floe_core.errors import ValidationError
from floe_core.plugin_interfaces import Catalog, CatalogPlugin, Table
from floe_core.testing.base_classes.base_plugin_tests import BasePluginTests


class BaseCatalogPluginTests(BasePluginTests):
    """Connecting, listing and describing tables."""

    @pytest.fixture
    def plugin(self) -> CatalogPlugin:
        """The plugin under test, configured for a catalog that runs and holds `known_table`. Override it."""
        raise NotImplementedError("override the fixture `plugin` and return your configured plugin")

    @pytest.fixture
    def known_table(self) -> str:
        """Identifier of a table that exists, as `namespace.table`. Override it."""
        raise NotImplementedError("override the fixture `known_table`")

    @pytest.fixture
    def unreachable_config(self) -> dict[str, Any]:
        """What merged over the configuration leads to a catalog that cannot be reached. Override it."""
        raise NotImplementedError("override the fixture `unreachable_config`")

    @pytest.fixture
    def catalog(self, plugin: CatalogPlugin) -> Iterator[Catalog]:
        """The connected catalog."""
        catalog = plugin.connect({})
        yield catalog
        catalog.close()

    @pytest.mark.requirement("FR-014")
    def test_a_table_is_found_by_namespace(self, catalog: Catalog, known_table: str) -> None:
        namespace = known_table.rpartition(".")[0]
        assert namespace in catalog.list_namespaces()
        assert known_table in catalog.list_tables(namespace)

    @pytest.mark.requirement("FR-014")
    def test_the_plugin_lists_what_its_catalog_lists(
        self, plugin: CatalogPlugin, catalog: Catalog, known_table: str
    ) -> None:
        namespace = known_table.rpartition(".")[0]
        assert namespace in plugin.list_namespaces()
        assert sorted(plugin.list_tables(namespace)) == sorted(catalog.list_tables(namespace))

    @pytest.mark.requirement("FR-011")
    def test_a_table_is_described_with_its_columns(self, catalog: Catalog, known_table: str) -> None:
        table = catalog.load_table(known_table)
        assert isinstance(table, Table), f"it is {type(table).__name__}, not Table"
        assert table.identifier == known_table
        assert table.columns, "a table without columns says nothing"
        assert all(column.name and column.type for column in table.columns)
        committed = [snapshot.committed_at for snapshot in table.snapshots]
        assert committed == sorted(committed), "snapshots stand oldest first"
        assert all(moment.tzinfo is not None for moment in committed), "times must be aware"

    @pytest.mark.requirement("FR-011")
    def test_an_unknown_table_is_a_validation_error(self, catalog: Catalog, known_table: str) -> None:
        with pytest.raises(ValidationError):
            catalog.load_table(f"{known_table}_that_is_not_there")

    @pytest.mark.requirement("FR-014", "CC-5.1")
    def test_an_unreachable_catalog_is_a_connection_error(
        self, plugin: CatalogPlugin, unreachable_config: dict[str, Any]
    ) -> None:
        with pytest.raises(FloeConnectionError):
            plugin.connect(unreachable_config)
