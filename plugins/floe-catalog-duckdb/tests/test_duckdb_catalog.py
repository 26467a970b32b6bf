"""Tables of a DuckDB file as a catalog, on real files."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from floe_catalog_duckdb import DuckDBCatalogConfig, DuckDBCatalogPlugin
from floe_core.errors import ConfigurationError, ConnectionError, ExecutionError  # noqa: A004 - the interface's name
from floe_core.plugin_interfaces.catalog import Column
from floe_core.plugin_interfaces.metadata import HealthState
from floe_core.testing.base_classes import BaseCatalogPluginTests

pytestmark = pytest.mark.requirement("FR-011", "FR-014")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            'CREATE SCHEMA sales; CREATE TABLE sales."Order Lines" (id INTEGER NOT NULL, seen_at TIMESTAMPTZ)'
        )
        connection.execute("CREATE TABLE orders (id INTEGER); CREATE VIEW recent AS SELECT * FROM orders")
    return path


@pytest.fixture
def duckdb_catalog(file: Path) -> DuckDBCatalogPlugin:
    return DuckDBCatalogPlugin(DuckDBCatalogConfig(path=file, lock_wait_seconds=0.1))


class TestDuckDBCatalogPlugin(BaseCatalogPluginTests):
    """The suite that every catalog plugin inherits."""

    @pytest.fixture
    def plugin(self, duckdb_catalog: DuckDBCatalogPlugin) -> DuckDBCatalogPlugin:
        return duckdb_catalog

    @pytest.fixture
    def known_table(self) -> str:
        return "main.orders"

    @pytest.fixture
    def unreachable_config(self, tmp_path: Path) -> dict[str, Any]:
        return {"path": tmp_path / "nowhere.duckdb"}


def test_schemas_are_namespaces_and_views_are_tables(duckdb_catalog: DuckDBCatalogPlugin) -> None:
    assert duckdb_catalog.list_namespaces() == ["main", "sales"]
    assert duckdb_catalog.list_tables("main") == ["main.orders", "main.recent"]
    assert duckdb_catalog.list_namespaces("main") == []


def test_a_table_is_described_by_its_columns(duckdb_catalog: DuckDBCatalogPlugin) -> None:
    table = duckdb_catalog.connect({}).load_table("sales.Order Lines")
    assert table.columns == (
        Column(name="id", type="INTEGER", required=True),
        Column(name="seen_at", type="TIMESTAMP WITH TIME ZONE", required=False),
    )
    assert table.snapshots == ()


def test_nested_types_are_described_by_their_parts(duckdb_catalog: DuckDBCatalogPlugin, file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE nested (s STRUCT(x INTEGER, y VARCHAR[]), m MAP(VARCHAR, DATE), f FLOAT[3])")
    s, m, f = duckdb_catalog.connect({}).load_table("nested").columns
    assert [(part.name, part.type, part.required) for part in (*s.children, *m.children, *f.children)] == [
        ("x", "INTEGER", None),
        ("y", "VARCHAR[]", None),
        ("key", "VARCHAR", None),
        ("value", "DATE", None),
        ("element", "FLOAT", None),
    ]
    assert s.children[1].children == (Column(name="element", type="VARCHAR", required=None),)


def test_the_key_is_told(duckdb_catalog: DuckDBCatalogPlugin, file: Path) -> None:
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE keyed (a INTEGER, b INTEGER, PRIMARY KEY (b, a))")
    catalog = duckdb_catalog.connect({})
    assert catalog.load_table("keyed").primary_key == ("b", "a")
    assert catalog.load_table("orders").primary_key == ()


def test_of_a_view_nobody_knows_what_may_be_null_and_names_are_taken_in_any_case(
    duckdb_catalog: DuckDBCatalogPlugin,
) -> None:
    table = duckdb_catalog.connect({}).load_table("MAIN.Recent")
    assert [(column.name, column.required) for column in table.columns] == [("id", None)]


def test_a_table_without_a_schema_is_one_of_main(duckdb_catalog: DuckDBCatalogPlugin) -> None:
    assert duckdb_catalog.connect({}).load_table("orders").identifier == "orders"


def test_tables_and_namespaces_are_made_and_dropped(duckdb_catalog: DuckDBCatalogPlugin) -> None:
    duckdb_catalog.create_namespace('odd "name"')
    identifier = 'odd "name".t'
    duckdb_catalog.create_table(identifier, (Column(name="a b", type="DECIMAL(10,2)", required=True),))
    assert duckdb_catalog.connect({}).load_table(identifier).columns[0].type == "DECIMAL(10,2)"
    with pytest.raises(ExecutionError, match="refused"):
        duckdb_catalog.delete_namespace('odd "name"')
    duckdb_catalog.drop_table(identifier, purge=True)
    duckdb_catalog.delete_namespace('odd "name"')
    assert duckdb_catalog.list_namespaces() == ["main", "sales"]


def test_what_duckdb_does_not_have_is_refused(duckdb_catalog: DuckDBCatalogPlugin) -> None:
    with pytest.raises(ConfigurationError, match="no properties"):
        duckdb_catalog.create_namespace("x", {"owner": "me"})
    with pytest.raises(ConfigurationError, match="no location"):
        duckdb_catalog.create_table("x", (), location="s3://bucket")
    assert duckdb_catalog.vend_credentials("x", ["read"]) == {}


def test_a_file_that_another_process_holds_is_a_connection_error(file: Path) -> None:
    program = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    plugin = DuckDBCatalogPlugin(DuckDBCatalogConfig(path=file, lock_wait_seconds=0.1))
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        writer.stdout.readline()
        with pytest.raises(ConnectionError, match="Another process holds"):
            plugin.list_namespaces()
        assert plugin.health_check().state is HealthState.UNHEALTHY
        writer.stdin.close()
    assert plugin.health_check().state is HealthState.HEALTHY


def test_what_is_no_database_is_a_connection_error(tmp_path: Path) -> None:
    path = tmp_path / "odd.duckdb"
    path.write_text("no database" * 1000)
    with pytest.raises(ConnectionError, match="cannot be opened"):
        DuckDBCatalogPlugin(DuckDBCatalogConfig(path=path)).list_namespaces()


def test_without_a_path_it_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="needs the path"):
        DuckDBCatalogPlugin().create_namespace("x")
    assert DuckDBCatalogPlugin().health_check().message == "No path is configured."
