"""Column types in one vocabulary for all engines; `type_reading` reads an engine's text into it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What sort of values a column holds."""

    STRING = "string"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    TIMESTAMP = "timestamp"
    BINARY = "binary"
    UUID = "uuid"
    ENUM = "enum"
    JSON = "json"
    OBJECT = "object"
    ARRAY = "array"
    MAP = "map"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A type.

    Attributes:
        bits: Of integers and floats; negative for unsigned integers.
        precision: Digits of a decimal, fractional digits of a second.
        length: Longest text or bytes.
        zone: Whether a time carries its zone; None where the engine's word leaves it open.
        members: Fields of an object, element of an array, key and value of a map.
        name: The word itself, of kind `other`.
    """

    kind: Kind
    bits: int | None = None
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    zone: bool | None = None
    members: tuple["Member", ...] = ()
    name: str = ""

    def __str__(self) -> str:
        """A plain spelling; `type_reading` reads it back into the same type."""
        if self.kind in {Kind.INTEGER, Kind.FLOAT}:
            return _WORDS.get((self.kind, self.bits or 0), self.kind.value)
        if self.members:
            return f"{self.kind.value}<{', '.join(self._parts())}>"
        numbers = ",".join(str(number) for number in (self.precision, self.scale, self.length) if number is not None)
        zone = {True: " with time zone", False: " without time zone", None: ""}[self.zone]
        return f"{self.name or self.kind.value}{f'({numbers})' if numbers else ''}{zone}"

    def _parts(self) -> list[str]:
        if self.kind is not Kind.OBJECT:
            return [str(member.type) for member in self.members]
        return [f'"{member.name.replace(chr(34), chr(34) * 2)}" {member.type}' for member in self.members]


@dataclass(frozen=True, slots=True)
class Member:
    """A part of a nested type."""

    name: str
    type: ColumnType


ELEMENT: Final = "element"
KEY: Final = "key"
VALUE: Final = "value"
# Engines with one number type: their integers are decimals without a fraction.
ONE_NUMBER_TYPE: Final = frozenset({"oracle", "snowflake"})

_WORDS = {
    (Kind.INTEGER, 8): "tinyint", (Kind.INTEGER, 16): "smallint", (Kind.INTEGER, 24): "mediumint",
    (Kind.INTEGER, 32): "int", (Kind.INTEGER, 64): "bigint", (Kind.INTEGER, 128): "hugeint",
    (Kind.INTEGER, -8): "utinyint", (Kind.INTEGER, -16): "usmallint", (Kind.INTEGER, -24): "mediumint unsigned",
    (Kind.INTEGER, -32): "uinteger", (Kind.INTEGER, -64): "ubigint", (Kind.INTEGER, -128): "uhugeint",
    (Kind.FLOAT, 32): "real", (Kind.FLOAT, 64): "double",
}  # fmt: skip
