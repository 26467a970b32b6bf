"""Freshness of real Iceberg tables by their snapshots: what makes a table fresh, and what does not."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import LongType, NestedField

from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_monitor.checks.freshness import NewestRow
from floe_monitor.contracts.reading import parse_contract
from floe_monitor.probes.freshness import observe_freshness
from floe_monitor.probes.source import Source
from floe_monitor.probes.workers import Workers

pytestmark = pytest.mark.requirement("FR-007", "FR-008")
NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema: [{name: orders, physicalName: sales.orders}]
slaProperties: [{property: freshness, value: PT6H, element: orders}]
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog("default", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    catalog.create_namespace("sales")
    catalog.create_table("sales.orders", Schema(NestedField(1, "id", LongType())))
    yield catalog
    catalog.close()


@pytest.fixture
def orders(warehouse: SqlCatalog) -> Table:
    return warehouse.load_table("sales.orders")


@pytest.fixture
def source(warehouse: SqlCatalog) -> Source:
    properties = {name: warehouse.properties[name] for name in ("uri", "warehouse")}
    catalog = PluginRegistry().create(PluginKind.CATALOG, PluginChoice(type="sql", config=properties))
    return Source("iceberg", None, catalog, Workers(), timedelta(seconds=30))


def rows(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64())})


def observed(source: Source) -> NewestRow:
    contract = parse_contract(CONTRACT, file="orders.yaml")
    (row,) = asyncio.run(observe_freshness(contract, source, clock=lambda: NOW)).rows
    assert row.element == "orders"
    return row


def committed_at(table: Table) -> datetime:
    snapshot = table.refresh().current_snapshot()
    assert snapshot is not None
    return datetime.fromtimestamp(snapshot.timestamp_ms / 1000, UTC)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda table: table.append(rows(2)), id="append"),
        pytest.param(lambda table: table.overwrite(rows(3)), id="overwrite"),
        pytest.param(lambda table: table.delete("id == 1"), id="delete"),
    ],
)
def test_a_change_of_rows_is_when_the_table_was_fresh(
    orders: Table, source: Source, change: Callable[[Table], None]
) -> None:
    orders.append(rows(1))
    change(orders)
    row = observed(source)
    assert row.newest == committed_at(orders)
    assert row.observed_at == NOW


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda table: table.append(rows()), id="an append of no rows"),
        pytest.param(lambda table: table.transaction().set_properties(owner="ops").commit_transaction(), id="property"),
        pytest.param(lambda table: table.update_schema().add_column("note", LongType()).commit(), id="schema"),
    ],
)
def test_what_changes_no_row_makes_nothing_fresh(
    orders: Table, source: Source, change: Callable[[Table], None]
) -> None:
    orders.append(rows(1))
    written = committed_at(orders)
    change(orders)
    assert observed(source).newest == written


def test_a_table_whose_history_holds_no_change_is_not_called_fresh(orders: Table, source: Source) -> None:
    orders.append(rows())
    row = observed(source)
    assert row.newest is None
    assert row.failure is not None
    assert row.failure.startswith("No snapshot that changed data is left")


def test_a_table_without_any_snapshot_is_asked_for_a_column(source: Source) -> None:
    row = observed(source)
    assert row.is_configuration
    assert "no column tells when a row changed" in (row.failure or "")
