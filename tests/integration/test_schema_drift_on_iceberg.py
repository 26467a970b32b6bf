"""Schema drift of real Iceberg tables: a catalog on SQLite, changed by pyiceberg, judged by the monitor's check."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.table.update.schema import UpdateSchema
from pyiceberg.types import DecimalType, IntegerType, LongType, NestedField, StringType, StructType

from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_monitor.checks.field_ids import FieldIds
from floe_monitor.checks.model import Rules, Verdict
from floe_monitor.checks.schema_drift import SchemaDriftCheck
from floe_monitor.contracts.model import Contract
from floe_monitor.contracts.reading import parse_contract
from floe_monitor.probes.schema import observe_schema
from floe_monitor.probes.source import Source
from floe_monitor.probes.workers import Workers

pytestmark = pytest.mark.requirement("FR-011", "FR-012", "FR-014")
SCHEMA = Schema(
    NestedField(1, "id", IntegerType(), required=True),
    NestedField(2, "amount", DecimalType(10, 2)),
    NestedField(3, "address", StructType(NestedField(4, "city", StringType()))),
)
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    physicalName: sales.orders
    properties:
      - {name: id, logicalType: integer, physicalType: int, required: true}
      - {name: amount, logicalType: number, physicalType: "decimal(10,2)"}
      - {name: address, logicalType: object, properties: [{name: city, logicalType: string}]}
"""


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[SqlCatalog]:
    catalog = SqlCatalog("default", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse")
    catalog.create_namespace("sales")
    catalog.create_table("sales.orders", SCHEMA)
    yield catalog
    catalog.close()


@pytest.fixture
def source(warehouse: SqlCatalog) -> Source:
    properties = {name: warehouse.properties[name] for name in ("uri", "warehouse")}
    catalog = PluginRegistry().create(PluginKind.CATALOG, PluginChoice(type="sql", config=properties))
    return Source("iceberg", None, catalog, Workers(), timedelta(seconds=30))


def judged(source: Source, known: FieldIds | None = None) -> Verdict:
    contract: Contract = parse_contract(CONTRACT, file="orders.yaml")
    facts = asyncio.run(observe_schema(contract, source, known or FieldIds()))
    return SchemaDriftCheck().judge(contract, facts, Rules())


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            lambda update: update.rename_column("amount", "total"), [("orders.amount", "renamed")], id="rename"
        ),
        pytest.param(
            lambda update: update.rename_column("address.city", "town"),
            [("orders.address.city", "renamed")],
            id="nested",
        ),
        pytest.param(
            lambda update: update.update_column("id", LongType()), [("orders.id", "type_changed")], id="int to long"
        ),
        pytest.param(
            lambda update: update.update_column("amount", DecimalType(12, 4)),
            [("orders.amount", "type_changed")],
            id="another scale, which pyiceberg lets pass",
        ),
        pytest.param(
            lambda update: update.make_column_optional("id"), [("orders.id", "nullability_changed")], id="optional"
        ),
        pytest.param(lambda update: update.add_column("note", StringType()), [("orders.note", "added")], id="added"),
        pytest.param(lambda update: update.delete_column("amount"), [("orders.amount", "removed")], id="removed"),
        pytest.param(lambda update: update.move_first("address"), [], id="another order"),
    ],
)
def test_each_evolution_of_an_iceberg_table_is_told_as_what_it_is(
    warehouse: SqlCatalog, source: Source, change: Callable[[UpdateSchema], object], expected: list[tuple[str, str]]
) -> None:
    first = judged(source)
    assert first.findings == ()
    with warehouse.load_table("sales.orders").update_schema(allow_incompatible_changes=True) as update:
        change(update)
    found = judged(source, first.learned).details["differences"]
    assert [(each["path"], each["kind"]) for each in found] == expected


def test_a_column_that_was_dropped_and_added_again_is_told_from_what_it_was(
    warehouse: SqlCatalog, source: Source
) -> None:
    first = judged(source)
    with warehouse.load_table("sales.orders").update_schema() as update:
        update.delete_column("amount")
    with warehouse.load_table("sales.orders").update_schema() as update:
        update.add_column("amount", DecimalType(10, 2))
    found = judged(source, first.learned).details["differences"]
    assert [(each["path"], each["kind"]) for each in found] == [("orders.amount", "readded")]


def test_a_table_that_was_created_again_has_nothing_renamed(warehouse: SqlCatalog, source: Source) -> None:
    first = judged(source)
    warehouse.drop_table("sales.orders")
    assert [each["kind"] for each in judged(source, first.learned).details["differences"]] == ["removed"]
    warehouse.create_table("sales.orders", Schema(*reversed(SCHEMA.fields)))
    assert judged(source, first.learned).findings == ()
