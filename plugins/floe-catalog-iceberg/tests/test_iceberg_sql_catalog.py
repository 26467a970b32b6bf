"""The plugin `sql` on SQLite and a warehouse of files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField, StringType

from floe_catalog_iceberg.sql import SqlCatalogConfig, SqlCatalogPlugin
from floe_core.errors import ConfigurationError, ConnectionError, ExecutionError, ValidationError  # noqa: A004 - ours
from floe_core.plugin_interfaces.catalog import Column
from floe_core.plugin_interfaces.metadata import HealthState
from floe_core.testing.base_classes import BaseCatalogPluginTests

pytestmark = pytest.mark.requirement("FR-011", "FR-014")

SCHEMA = Schema(NestedField(1, "id", LongType(), required=True), NestedField(2, "note", StringType()))
ROWS = pa.Table.from_pylist(
    [{"id": 1, "note": None}], schema=pa.schema([pa.field("id", pa.int64(), nullable=False), ("note", pa.string())])
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "catalog.db"


@pytest.fixture
def sql_writer(database: Path, tmp_path: Path) -> Iterator[SqlCatalog]:
    """Another engine with the same catalog, and a table of its own."""
    writer = SqlCatalog("default", uri=f"sqlite:///{database}", warehouse=f"file://{tmp_path}/warehouse")
    writer.create_namespace("sales")
    writer.create_table("sales.orders", SCHEMA).append(ROWS)
    yield writer
    writer.close()


@pytest.fixture
def sql_plugin(database: Path, sql_writer: SqlCatalog) -> Iterator[SqlCatalogPlugin]:
    plugin = SqlCatalogPlugin(
        SqlCatalogConfig.model_validate(
            {"uri": f"sqlite:///{database}", "warehouse": sql_writer.properties["warehouse"]}
        )
    )
    yield plugin
    plugin.shutdown()


class TestSqlCatalogPlugin(BaseCatalogPluginTests):
    """The suite that every catalog plugin inherits."""

    @pytest.fixture
    def plugin(self, sql_plugin: SqlCatalogPlugin) -> SqlCatalogPlugin:
        return sql_plugin

    @pytest.fixture
    def known_table(self) -> str:
        return "sales.orders"

    @pytest.fixture
    def unreachable_config(self, tmp_path: Path) -> dict[str, Any]:
        return {"uri": f"sqlite:///{tmp_path}/nowhere.db"}


def test_what_another_engine_writes_is_seen_at_once(sql_plugin: SqlCatalogPlugin, sql_writer: SqlCatalog) -> None:
    catalog = sql_plugin.connect({})
    before = catalog.load_table("sales.orders")
    assert [(one.operation, one.added_records, one.deleted_records) for one in before.snapshots] == [("append", 1, 0)]
    table = sql_writer.load_table("sales.orders")
    with table.update_schema() as update:
        update.rename_column("note", "remark")
    table.append(ROWS.rename_columns(["id", "remark"]))
    after = catalog.load_table("sales.orders")
    assert [(column.name, column.field_id) for column in after.columns] == [("id", 1), ("remark", 2)]
    assert len(after.snapshots) == 2
    assert after.uuid == before.uuid


def test_tables_and_namespaces_of_a_sql_catalog_are_made_and_dropped(sql_plugin: SqlCatalogPlugin) -> None:
    sql_plugin.create_namespace("lake.raw", {"owner": "me"})
    sql_plugin.create_table("lake.raw.events", (Column(name="at", type="timestamptz", required=True),))
    assert sql_plugin.list_namespaces() == ["lake", "lake.raw", "sales"]
    assert sql_plugin.list_namespaces("lake") == ["lake.raw"]
    assert sql_plugin.list_tables("lake.raw") == ["lake.raw.events"]
    with pytest.raises(ExecutionError, match=r"refuses namespace lake\.raw"):
        sql_plugin.delete_namespace("lake.raw")
    with pytest.raises(ExecutionError, match=r"refuses table lake\.raw\.events"):
        sql_plugin.create_table("lake.raw.events", (Column(name="at", type="date"),))
    sql_plugin.drop_table("lake.raw.events")
    sql_plugin.delete_namespace("lake.raw")
    assert sql_plugin.list_namespaces() == ["sales"]
    assert sql_plugin.vend_credentials("sales.orders", ["read"]) == {}


def test_an_unknown_namespace_is_told(sql_plugin: SqlCatalogPlugin) -> None:
    with pytest.raises(ValidationError, match="no namespace nowhere"):
        sql_plugin.list_tables("nowhere")


def test_a_mistyped_path_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "mistyped.db"
    plugin = SqlCatalogPlugin(SqlCatalogConfig.model_validate({"uri": f"sqlite:///{path}"}))
    with pytest.raises(ConnectionError, match="There is no file"):
        plugin.connect({})
    assert plugin.health_check().state is HealthState.UNHEALTHY
    assert not path.exists()


def test_a_database_that_is_no_catalog_stays_as_it_is_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    path.touch()
    plugin = SqlCatalogPlugin(SqlCatalogConfig.model_validate({"uri": f"sqlite:///{path}"}))
    with pytest.raises(ConnectionError, match="no table iceberg_tables"):
        plugin.connect({})
    assert path.stat().st_size == 0
    made = plugin.connect({"create_tables": True})
    assert made.list_namespaces() == []
    made.close()
    assert plugin.health_check().state is HealthState.HEALTHY


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "odd.db"
    path.write_text("no database" * 1000)
    plugin = SqlCatalogPlugin(SqlCatalogConfig.model_validate({"uri": f"sqlite:///{path}"}))
    with pytest.raises(ConnectionError, match="does not answer"):
        plugin.connect({})


def test_a_metadata_file_that_is_gone_is_told(sql_plugin: SqlCatalogPlugin, sql_writer: SqlCatalog) -> None:
    catalog = sql_plugin.connect({})
    Path(sql_writer.load_table("sales.orders").metadata_location.removeprefix("file://")).unlink()
    with pytest.raises(ConnectionError, match=r"metadata file of table sales.orders .* is gone") as caught:
        catalog.load_table("sales.orders")
    assert caught.value.details == {"reason": "metadata_missing"}


@pytest.mark.requirement("HOUSE-7", "CC-2.3")
def test_the_databases_password_is_resolved_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_PASSWORD", "p@ss/word:not-to-be-seen")
    config = SqlCatalogConfig.model_validate(
        {"uri": "postgresql+nodriver://reader@db.example.com/lake", "password": "${env:LAKE_PASSWORD}"}
    )
    with pytest.raises(ExecutionError) as caught:
        SqlCatalogPlugin(config).connect({})
    assert "db.example.com" in str(caught.value)
    assert "not-to-be-seen" not in str(caught.value)
    with pytest.raises(ConfigurationError, match="no database address") as refused:
        SqlCatalogPlugin(config).connect({"uri": "not-to-be-seen"})
    assert "not-to-be-seen" not in str(refused.value)
