"""Between Iceberg's table metadata and floe's `Table`; pure. The only place that knows both vocabularies."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, ancestors_of
from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot
from pyiceberg.transforms import IdentityTransform, Transform, VoidTransform
from pyiceberg.types import DecimalType, IcebergType, ListType, MapType, NestedField, StructType

from floe_core.errors import ValidationError
from floe_core.plugin_interfaces.catalog import Column, Snapshot, Table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Deletes by delete files remove rows without `deleted-records` (Iceberg specification, snapshot summary fields).
_DELETED = ("deleted-records", "added-position-deletes", "added-equality-deletes")
_LIST_PARTS = 1
_MAP_PARTS = 2


def table_of(identifier: str, metadata: TableMetadata) -> Table:
    """A table as its current metadata describe it.

    Partitioning and order are told as Iceberg writes them: `day(seen_at)`, `bucket[16](id)`, `id ASC NULLS FIRST`; an
    identity is the column's name alone.
    """
    schema = metadata.schema()
    order = metadata.sort_order_by_id(metadata.default_sort_order_id)
    return Table(
        identifier=identifier,
        columns=tuple(_column(field) for field in schema.fields),
        snapshots=_snapshots(metadata),
        properties=dict(metadata.properties),
        location=metadata.location,
        partitioned_by=tuple(
            _transformed(schema, field.source_id, field.transform)
            for field in metadata.spec().fields
            # A dropped partition field of format version 1 stays as `void`.
            if not isinstance(field.transform, VoidTransform)
        ),
        sorted_by=tuple(
            f"{_transformed(schema, field.source_id, field.transform)} {field.direction} {field.null_order}"
            for field in (order.fields if order else ())
        ),
        primary_key=tuple(sorted(schema.identifier_field_names())),
        uuid=str(metadata.table_uuid),
    )


def schema_of(columns: tuple[Column, ...]) -> Schema:
    """A schema for a new table; the catalog gives its own field ids.

    Raises:
        floe_core.errors.ValidationError: A type is none of Iceberg's; says which column.
    """
    ids = count(1)
    fields = []
    for column in columns:
        try:
            fields.append(NestedField.model_validate(_field_document(column, ids)))
        except (ValueError, TypeError):
            raise ValidationError(
                f"The column {column.name} has the type {column.type}, which is none of Iceberg's.",
                remedy="Write it as Iceberg does, e.g. long, decimal(10,2), timestamptz, struct, list, map.",
            ) from None
    return Schema(*fields)


def _column(field: NestedField) -> Column:
    return Column(
        name=field.name,
        type=_type_text(field.field_type),
        required=field.required,
        field_id=field.field_id,
        children=tuple(_column(child) for child in _children(field.field_type)),
        doc=field.doc,
    )


def _type_text(kind: IcebergType) -> str:
    """The type as the specification writes it; what a nested type holds stands in its children."""
    match kind:
        case StructType():
            return "struct"
        case ListType():
            return "list"
        case MapType():
            return "map"
        case DecimalType():
            return f"decimal({kind.precision},{kind.scale})"
        case _:
            return str(kind)


def _children(kind: IcebergType) -> tuple[NestedField, ...]:
    match kind:
        case StructType():
            return kind.fields
        case ListType():
            return (kind.element_field,)
        case MapType():
            return (kind.key_field, kind.value_field)
        case _:
            return ()


def _transformed(schema: Schema, source_id: int, transform: Transform[Any, Any]) -> str:
    # A column that was dropped can still be the source of an old order.
    column = schema.find_column_name(source_id) or f"field {source_id}"
    return column if isinstance(transform, IdentityTransform) else f"{transform}({column})"


def _snapshots(metadata: TableMetadata) -> tuple[Snapshot, ...]:
    """The history of the branch `main`: what is staged or stands on other branches is not what readers see."""
    history = [_snapshot(snapshot) for snapshot in ancestors_of(metadata.current_snapshot(), metadata)]
    history.reverse()
    # Clocks of writers may differ a little; where times are equal the ancestry decides.
    return tuple(sorted(history, key=lambda snapshot: snapshot.committed_at))


def _snapshot(snapshot: IcebergSnapshot) -> Snapshot:
    summary = snapshot.summary
    given = summary.additional_properties if summary else {}
    # Writers that count leave zeros out; without a total nothing is known.
    unsaid = 0 if "total-records" in given else None
    return Snapshot(
        snapshot_id=str(snapshot.snapshot_id),
        committed_at=_EPOCH + timedelta(milliseconds=snapshot.timestamp_ms),
        # Format version 1 knows snapshots without a summary; pyiceberg takes a missing operation for an overwrite, too.
        operation=(summary.operation if summary else Operation.OVERWRITE).value,
        added_records=_sum(given, "added-records", unsaid=unsaid),
        deleted_records=_sum(given, *_DELETED, unsaid=unsaid),
    )


def _sum(given: dict[str, str], *keys: str, unsaid: int | None) -> int | None:
    numbers = [int(given[key]) for key in keys if given.get(key, "").isdecimal()]
    return sum(numbers) if numbers else unsaid


def _field_document(column: Column, ids: Iterator[int]) -> dict[str, Any]:
    """A field as Iceberg's specification (appendix C) writes it in JSON."""
    return {
        "id": next(ids),
        "name": column.name,
        "required": bool(column.required),
        "type": _type_document(column, ids),
        **({"doc": column.doc} if column.doc else {}),
    }


def _type_document(column: Column, ids: Iterator[int]) -> object:
    parts = column.children
    if column.type == "struct":
        return {"type": "struct", "fields": [_field_document(part, ids) for part in parts]}
    if column.type == "list" and len(parts) == _LIST_PARTS:
        return {
            "type": "list",
            "element-id": next(ids),
            "element": _type_document(parts[0], ids),
            "element-required": bool(parts[0].required),
        }
    if column.type == "map" and len(parts) == _MAP_PARTS:
        return {
            "type": "map",
            "key-id": next(ids),
            "key": _type_document(parts[0], ids),
            "value-id": next(ids),
            "value": _type_document(parts[1], ids),
            "value-required": bool(parts[1].required),
        }
    return column.type
