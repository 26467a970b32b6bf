"""Iceberg's metadata as floe's table, for what no engine here writes: compaction, branches, delete files, version 1."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata, TableMetadataUtil, new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    NestedField,
    TimestampType,
    TimeType,
    UUIDType,
)

from floe_catalog_iceberg.tables import schema_of, table_of
from floe_core.plugin_interfaces.catalog import Column, Snapshot

pytestmark = pytest.mark.requirement("FR-007", "FR-011")

START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def document(*fields: NestedField) -> dict[str, Any]:
    fields = fields or (NestedField(1, "id", DateType()),)
    metadata = new_table_metadata(Schema(*fields), UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, "s3://lake/t", {})
    written: dict[str, Any] = json.loads(metadata.model_dump_json())
    return written


def snapshot(number: int, summary: dict[str, str] | None, parent: int | None = None) -> dict[str, Any]:
    return {
        "snapshot-id": number,
        "timestamp-ms": START_MS + number,
        "sequence-number": number,
        "manifest-list": f"s3://lake/t/{number}.avro",
        "schema-id": 0,
        **({"parent-snapshot-id": parent} if parent else {}),
        **({"summary": summary} if summary else {}),
    }


def history(current: int, *snapshots: dict[str, Any], version: int = 2) -> tuple[Snapshot, ...]:
    written = document() | {"current-snapshot-id": current, "snapshots": list(snapshots), "last-sequence-number": 99}
    written["refs"] = {"main": {"snapshot-id": current, "type": "branch"}}
    if version == 1:
        written |= {"format-version": 1, "schema": written["schemas"][0], "partition-spec": []}
    metadata: TableMetadata = TableMetadataUtil.parse_obj(written)
    return table_of("sales.orders", metadata).snapshots


@pytest.mark.parametrize(
    ("summary", "told"),
    [
        pytest.param(
            {"operation": "append", "added-records": "5", "total-records": "5"}, ("append", 5, 0), id="an append"
        ),
        pytest.param({"operation": "append", "total-records": "5"}, ("append", 0, 0), id="an append of nothing"),
        pytest.param({"operation": "append"}, ("append", None, None), id="a writer that does not count"),
        pytest.param(
            {"operation": "replace", "added-records": "9", "deleted-records": "9", "total-records": "9"},
            ("replace", 9, 9),
            id="a compaction",
        ),
        pytest.param(
            {"operation": "delete", "added-position-deletes": "3", "total-records": "9"},
            ("delete", 0, 3),
            id="rows deleted by a delete file",
        ),
        pytest.param(
            {"operation": "overwrite", "deleted-records": "2", "added-equality-deletes": "3", "added-records": "4"},
            ("overwrite", 4, 5),
            id="rows changed by both kinds of delete",
        ),
        pytest.param({"operation": "append", "added-records": "many"}, ("append", None, None), id="no number"),
    ],
)
def test_a_summary_is_told_in_numbers_or_as_unknown(
    summary: dict[str, str], told: tuple[str, int | None, int | None]
) -> None:
    (one,) = history(1, snapshot(1, summary))
    assert (one.operation, one.added_records, one.deleted_records) == told
    assert one.committed_at == datetime(2026, 1, 1, 0, 0, 0, 1000, tzinfo=UTC)


def test_a_snapshot_of_version_1_without_a_summary_counts_as_an_overwrite() -> None:
    (one,) = history(1, snapshot(1, None), version=1)
    assert (one.operation, one.added_records, one.deleted_records) == ("overwrite", None, None)


def test_only_the_history_of_main_is_told_oldest_first() -> None:
    append = {"operation": "append", "added-records": "1"}
    staged, rolled_back = snapshot(3, append, parent=2), snapshot(4, append, parent=2)
    told = history(5, snapshot(5, append, parent=2), staged, rolled_back, snapshot(2, append, parent=1))
    assert [one.snapshot_id for one in told] == ["2", "5"], "the parent 1 has expired"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (BooleanType(), "boolean"),
        (FloatType(), "float"),
        (DoubleType(), "double"),
        (DecimalType(38, 10), "decimal(38,10)"),
        (DateType(), "date"),
        (TimeType(), "time"),
        (TimestampType(), "timestamp"),
        (UUIDType(), "uuid"),
        (FixedType(16), "fixed[16]"),
        (BinaryType(), "binary"),
    ],
    ids=str,
)
def test_types_are_written_as_iceberg_writes_them(kind: IcebergType, text: str) -> None:
    metadata: TableMetadata = TableMetadataUtil.parse_obj(document(NestedField(1, "c", kind)))
    assert table_of("a.b", metadata).columns == (Column(name="c", type=text, field_id=1),)


_LEAVES = st.builds(
    Column,
    name=st.text("abcdef", min_size=1, max_size=6),
    type=st.sampled_from(["int", "long", "string", "decimal(9,2)", "timestamptz", "fixed[4]", "uuid"]),
    required=st.booleans(),
    doc=st.none() | st.just("what it is"),
)


def _part(column: Column, name: str, *, required: bool | None = None) -> Column:
    """A part of a list or a map: it has a name of Iceberg's, and no doc."""
    return column.model_copy(
        update={"name": name, "doc": None, "required": column.required if required is None else required}
    )


def _nested(inner: st.SearchStrategy[Column]) -> st.SearchStrategy[Column]:
    name = st.text("abcdef", min_size=1, max_size=6)
    parts = st.lists(inner, min_size=1, max_size=3, unique_by=lambda column: column.name).map(tuple)
    return st.one_of(
        st.builds(Column, name=name, type=st.just("struct"), required=st.booleans(), children=parts),
        st.builds(
            Column, name=name, type=st.just("list"), children=inner.map(lambda column: (_part(column, "element"),))
        ),
        st.builds(
            Column,
            name=name,
            type=st.just("map"),
            children=st.tuples(_LEAVES, inner).map(
                lambda pair: (_part(pair[0], "key", required=True), _part(pair[1], "value"))
            ),
        ),
    )


def _without_ids(column: Column) -> Column:
    return column.model_copy(update={"field_id": None, "children": tuple(map(_without_ids, column.children))})


def _ids(column: Column) -> list[int | None]:
    return [column.field_id, *(one for child in column.children for one in _ids(child))]


@settings(deadline=None)  # the first example pays for what is imported and compiled
@given(
    st.lists(st.recursive(_LEAVES, _nested, max_leaves=6), max_size=4, unique_by=lambda column: column.name).map(tuple)
)
def test_columns_become_a_schema_and_come_back(columns: tuple[Column, ...]) -> None:
    metadata = new_table_metadata(
        schema_of(columns), UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, "s3://lake/t", {}
    )
    told = table_of("a.b", metadata).columns
    assert tuple(map(_without_ids, told)) == columns
    ids = [one for column in told for one in _ids(column)]
    assert None not in ids
    assert len(set(ids)) == len(ids)
