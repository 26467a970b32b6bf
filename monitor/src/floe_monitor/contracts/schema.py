"""Tables and columns of an ODCS contract, nested ones included, as the checks need them."""

from collections.abc import Iterable, Iterator

from open_data_contract_standard.model import SchemaObject, SchemaProperty, Server

from floe_monitor.contracts.column_types import ELEMENT, KEY, VALUE, Kind
from floe_monitor.contracts.model import Column, ContractTable, TableLocation
from floe_monitor.contracts.type_reading import read_type

# ODCS has no place for a sort order.
_SORTED_BY = "sortedBy"


def table_of(table: SchemaObject, server: Server | None) -> ContractTable:
    """A table with its columns; `server` names the schema unless the table's physical name does."""
    name = table.physicalName or table.name or ""
    *qualifiers, bare = name.split(".")
    schema = qualifiers[-1] if qualifiers else (server.schema_ if server else None)
    database = qualifiers[-2] if len(qualifiers) > 1 else None
    properties = [column for column in table.properties or () if column.name]
    return ContractTable(
        name=table.name or "",
        location=TableLocation(table=bare, schema=schema, database=database),
        columns=tuple(_column(column) for column in properties),
        primary_key=_ordered((column.primaryKeyPosition, column) for column in properties if column.primaryKey),
        partitioned_by=_ordered((column.partitionKeyPosition, column) for column in properties if column.partitioned),
        sorted_by=_sorted_by(table),
    )


def remarks_on(table: ContractTable) -> Iterator[str]:
    """What of a table's schema is declared and cannot be compared, as sentences."""
    for path, column in _walk(table.columns, table.name):
        if column.physical_type and read_type(column.physical_type).kind is Kind.OTHER:
            yield (
                f"The physicalType {column.physical_type!r} of {path} is not understood; it is compared with the "
                "catalog's text, and otherwise its logicalType holds."
            )


def _walk(columns: Iterable[Column], path: str) -> Iterator[tuple[str, Column]]:
    for column in columns:
        here = f"{path}.{column.source_name}"
        yield here, column
        yield from _walk(column.children, here)


def _column(column: SchemaProperty, name: str | None = None) -> Column:
    """A column; `name` is what a part of an array or a map is called, whatever the contract says."""
    options = column.logicalTypeOptions or {}
    zone = options.get("defaultTimezone")
    with_zone = options.get("timezone")
    return Column(
        name=name or column.name or "",
        source_name=name or column.physicalName or column.name or "",
        logical_type=column.logicalType,
        time_zone=str(zone) if zone else None,
        physical_type=column.physicalType,
        with_zone=with_zone if isinstance(with_zone, bool) else None,
        required=column.required,
        children=tuple(_children(column)),
    )


def _children(column: SchemaProperty) -> Iterator[Column]:
    if column.items is not None:
        yield _column(column.items, ELEMENT)
        return
    if column.map is not None:
        for name, part in ((KEY, column.map.key), (VALUE, column.map.value)):
            if part is not None:
                yield _column(part, name)
        return
    yield from (_column(child) for child in column.properties or () if child.name)


def _ordered(columns: Iterable[tuple[int | None, SchemaProperty]]) -> tuple[str, ...]:
    """Names in the source, by their positions; those without one in the contract's order, last."""
    placed = sorted(columns, key=lambda entry: (entry[0] is None or entry[0] < 0, entry[0] or 0))
    return tuple(column.physicalName or column.name or "" for _, column in placed)


def _sorted_by(table: SchemaObject) -> tuple[str, ...]:
    named = next((entry.value for entry in table.customProperties or () if entry.property == _SORTED_BY), None)
    return tuple(str(name) for name in named) if isinstance(named, list) else ()
