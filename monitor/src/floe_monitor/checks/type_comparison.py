"""Whether a column's type is the promised one (pure).

`physicalType` decides if it is understood: what it states (bits, precision, scale, length, zone) is compared strictly,
what it leaves out is not compared. Otherwise the `logicalType` decides, which is wider:

| logicalType | accepted |
|---|---|
| string | texts, uuid, enumerations, JSON |
| integer | integers of any size; where an engine has one number type, decimals without a fraction |
| number | integers, floats, decimals |
| boolean, date, time | the same |
| timestamp | with or without zone, of any precision; `logicalTypeOptions.timezone` decides on the zone |
| object, array, map | nested types of that form, JSON |
| vector | arrays |
"""

from dataclasses import replace
from typing import Final

from floe_monitor.contracts.column_types import ONE_NUMBER_TYPE, ColumnType, Kind
from floe_monitor.contracts.model import Column
from floe_monitor.contracts.type_reading import read_type

ICEBERG: Final = "iceberg"
_LOGICAL = {
    "string": {Kind.STRING, Kind.UUID, Kind.ENUM, Kind.JSON},
    "integer": {Kind.INTEGER},
    "number": {Kind.INTEGER, Kind.FLOAT, Kind.DECIMAL},
    "boolean": {Kind.BOOLEAN},
    "date": {Kind.DATE},
    "time": {Kind.TIME},
    "timestamp": {Kind.TIMESTAMP},
    "object": {Kind.OBJECT, Kind.JSON},
    "array": {Kind.ARRAY, Kind.JSON},
    "map": {Kind.MAP, Kind.JSON},
    "vector": {Kind.ARRAY},
}
# Fractional digits of a second where a catalog prints none.
_SECOND_DIGITS = {"bigquery": 6, "duckdb": 6, ICEBERG: 6, "postgres": 6, "redshift": 6, "snowflake": 9, "spark": 6}
# These print a length whenever there is one; of the others nothing follows from its absence.
_PRINTS_LENGTH = frozenset({"mysql", "oracle", "postgres", "redshift", "snowflake", "trino", "tsql"})


def promised_type(column: Column, dialect: str) -> ColumnType | None:
    """The type that the contract pins; None if it pins none, or one that is not understood."""
    if not column.physical_type:
        return None
    found = read_type(column.physical_type, dialect)
    if found.kind is Kind.OTHER:
        return None
    if found.kind in {Kind.TIMESTAMP, Kind.TIME} and found.zone is None:
        return replace(found, zone=column.with_zone)
    return found


def is_kept(column: Column, actual: ColumnType, text: str, dialect: str) -> bool:
    """Whether the actual type is as promised; what cannot be compared is taken as kept.

    Args:
        column: The promise.
        actual: The type as it was read.
        text: The catalog's own text of it: a type never fails against its own words.
        dialect: Of the catalog's text.
    """
    if column.physical_type and _plain(column.physical_type) == _plain(text):
        return True
    pinned = promised_type(column, dialect)
    if pinned is not None:
        return pinned.kind is actual.kind and _details_kept(pinned, actual, dialect)
    accepted = _LOGICAL.get((column.logical_type or "").lower())
    if accepted is None or actual.kind is Kind.OTHER:
        return True
    if actual.kind is Kind.DECIMAL and actual.scale == 0 and dialect in ONE_NUMBER_TYPE:
        return Kind.INTEGER in accepted
    return actual.kind in accepted and _equal_if_both(column.with_zone, actual.zone)


def is_compared(column: Column, actual: ColumnType, dialect: str) -> bool:
    """Whether anything can be said about a promised type."""
    if promised_type(column, dialect) is not None:
        return True
    return actual.kind is not Kind.OTHER and (column.logical_type or "").lower() in _LOGICAL


def is_widening(pinned: ColumnType | None, actual: ColumnType) -> bool:
    """Whether every promised value still fits (Iceberg's legal promotions): drift, but no consumer breaks."""
    if pinned is None or pinned.kind is not actual.kind:
        return False
    if pinned.kind is Kind.DECIMAL:
        return pinned.scale in {None, actual.scale} and (pinned.precision or 0) < (actual.precision or 0)
    if pinned.kind in {Kind.INTEGER, Kind.FLOAT}:
        return 0 < (pinned.bits or 0) < (actual.bits or 0)
    if pinned.kind is Kind.STRING:
        return actual.length is None or (pinned.length or 0) < actual.length
    return False


def _details_kept(pinned: ColumnType, actual: ColumnType, dialect: str) -> bool:
    return all(
        (
            _equal_if_both(pinned.bits, actual.bits),
            _precision_kept(pinned, actual, dialect),
            pinned.scale is None or pinned.scale == actual.scale,
            _length_kept(pinned, actual, dialect),
            _equal_if_both(pinned.zone, actual.zone),
        )
    )


def _precision_kept(pinned: ColumnType, actual: ColumnType, dialect: str) -> bool:
    if pinned.precision is None:
        return True
    if pinned.kind is Kind.DECIMAL:
        return pinned.precision == actual.precision
    return _equal_if_both(
        pinned.precision, actual.precision if actual.precision is not None else _SECOND_DIGITS.get(dialect)
    )


def _length_kept(pinned: ColumnType, actual: ColumnType, dialect: str) -> bool:
    if dialect in _PRINTS_LENGTH:
        return pinned.length is None or pinned.length == actual.length
    return _equal_if_both(pinned.length, actual.length)


def _equal_if_both(promised: int | None, actual: int | None) -> bool:
    return promised is None or actual is None or promised == actual


def _plain(text: str) -> str:
    return "".join(text.lower().split())
