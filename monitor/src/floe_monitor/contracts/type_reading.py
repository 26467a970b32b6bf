"""Reads a type's text, of any engine, into `ColumnType`, so that two spellings of one type are equal.

`decimal(6, 2)`, `NUMERIC(6,2)` and `number(6,2)` are one type; `timestamptz` and `timestamp with time zone` too.
What an engine does not state is None and is never guessed. A text that is not understood is of the kind `other`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from floe_monitor.contracts.column_types import ELEMENT, KEY, ONE_NUMBER_TYPE, VALUE, ColumnType, Kind, Member

PartT = TypeVar("PartT")

_STRINGS = (
    "string", "varchar", "char", "character", "text", "bpchar", "nvarchar", "nchar", "varchar2", "nvarchar2", "clob",
    "nclob", "ntext", "citext", "longtext", "mediumtext", "tinytext", "name", "fixedstring", "charactervarying",
    "nationalcharactervarying",
)  # fmt: skip
_BINARIES = (
    "binary", "varbinary", "blob", "bytea", "bytes", "fixed", "raw", "image", "longblob", "mediumblob", "tinyblob",
    "bit", "varbit", "bitvarying", "binaryvarying", "bitstring",
)  # fmt: skip
_INTEGERS = {
    "tinyint": 8, "int1": 8, "byte": 8, "smallint": 16, "int2": 16, "short": 16, "int16": 16, "smallserial": 16,
    "mediumint": 24, "int": 32, "integer": 32, "int4": 32, "int32": 32, "serial": 32, "signed": 32,
    "bigint": 64, "int8": 64, "long": 64, "int64": 64, "bigserial": 64, "hugeint": 128, "int128": 128,
    "utinyint": -8, "uint8": -8, "usmallint": -16, "uint16": -16, "uinteger": -32, "uint32": -32,
    "ubigint": -64, "uint64": -64, "uhugeint": -128,
}  # fmt: skip
_FLOATS = {
    "real": 32, "float4": 32, "float32": 32, "double": 64, "doubleprecision": 64, "float8": 64, "float64": 64,
    "binary_float": 32, "binary_double": 64, "float": 32,
}  # fmt: skip
_DECIMALS = frozenset({"decimal", "numeric", "number", "dec", "bignumeric", "bigdecimal", "money", "smallmoney"})
_TIMESTAMPS: dict[str, tuple[bool | None, int | None]] = {
    "timestamptz": (True, None), "timestamp_tz": (True, None), "timestamp_ltz": (True, None),
    "datetimeoffset": (True, None), "timestamptz_ns": (True, 9),
    "timestamp_ntz": (False, None), "datetime": (False, None), "datetime2": (False, None),
    "smalldatetime": (False, None), "timestamp_s": (False, 0), "timestamp_ms": (False, 3), "timestamp_us": (False, 6),
    "timestamp_ns": (False, 9),
}  # fmt: skip
_SIMPLE = {
    **dict.fromkeys(_STRINGS, ColumnType(Kind.STRING)),
    **dict.fromkeys(_BINARIES, ColumnType(Kind.BINARY)),
    **{word: ColumnType(Kind.INTEGER, bits=bits) for word, bits in _INTEGERS.items()},
    **{word: ColumnType(Kind.FLOAT, bits=bits) for word, bits in _FLOATS.items()},
    **dict.fromkeys(_DECIMALS, ColumnType(Kind.DECIMAL)),
    **{word: ColumnType(Kind.TIMESTAMP, zone=zone, precision=digits) for word, (zone, digits) in _TIMESTAMPS.items()},
    **dict.fromkeys(("boolean", "bool", "logical"), ColumnType(Kind.BOOLEAN)),
    **dict.fromkeys(("json", "jsonb", "variant", "super"), ColumnType(Kind.JSON)),
    **dict.fromkeys(("uuid", "uniqueidentifier"), ColumnType(Kind.UUID)),
    "date": ColumnType(Kind.DATE),
    "date32": ColumnType(Kind.DATE),
    "timetz": ColumnType(Kind.TIME, zone=True),
}
# What a bare TIMESTAMP means; engines that are not named here leave it open or let people configure it.
_BARE_TIMESTAMP_ZONE = {
    "bigquery": True, "duckdb": False, "iceberg": False, "postgres": False, "redshift": False, "trino": False,
}  # fmt: skip
# Where FLOAT alone has 64 bits (PostgreSQL documentation 8.1.3, and so on); elsewhere 32.
_WIDE_FLOAT = frozenset({"bigquery", "oracle", "postgres", "redshift", "snowflake", "tsql"})
_CONTAINERS = {
    **dict.fromkeys(("array", "list", "set"), Kind.ARRAY),
    **dict.fromkeys(("struct", "row", "record", "object"), Kind.OBJECT),
    "map": Kind.MAP,
    "enum": Kind.ENUM,
}
_TOKEN = re.compile(r'\s*(?:"((?:[^"]|"")*)"|\'((?:[^\']|\'\')*)\'|`([^`]*)`|([\w.$-]+)|([<>()\[\],:]))')
_MAX_DEPTH = 32


def read_type(text: str, dialect: str = "") -> ColumnType:
    """The type that a text names; of kind `other` if it is not understood.

    Args:
        text: As a catalog prints it or a person writes it.
        dialect: Of the engine that it belongs to, as sqlglot names it, or `iceberg`.
    """
    try:
        reader = _Reader(tuple(_tokens(text)), dialect)
        found = reader.type(0)
        reader.end()
    except _NotUnderstoodError:
        return ColumnType(Kind.OTHER, name=" ".join(text.lower().split()))
    return found


class _NotUnderstoodError(Exception):
    """The text does not follow the grammar below."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    is_quoted: bool = False


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text.rstrip()):
        found = _TOKEN.match(text, position)
        if found is None:
            raise _NotUnderstoodError
        double, single, back, word, sign = found.groups()
        quoted = next((part for part in (double, single, back) if part is not None), None)
        if quoted is None:
            yield _Token(word or sign)
        else:
            yield _Token(quoted.replace('""', '"'), is_quoted=True)
        position = found.end()


class _Reader:
    """A recursive descent over `name [(…)] [words] [[]…]`, `array<T>`, `map(K, V)`, `struct<a: T, b U>`."""

    def __init__(self, tokens: tuple[_Token, ...], dialect: str) -> None:
        self._tokens = tokens
        self._dialect = dialect
        self._at = 0

    def end(self) -> None:
        if self._at != len(self._tokens):
            raise _NotUnderstoodError

    def type(self, depth: int) -> ColumnType:
        if depth > _MAX_DEPTH:
            raise _NotUnderstoodError
        word = self._next().text.lower()
        kind = _CONTAINERS.get(word)
        if kind is None:
            found = self._simple(word)
        elif self._peek() in {"(", "<"}:
            found = ColumnType(kind, members=self._members(kind, depth + 1))
        else:
            found = ColumnType(kind)
        return self._suffixed(found)

    def _members(self, kind: Kind, depth: int) -> tuple[Member, ...]:
        if kind is Kind.ENUM:
            self._bracketed(self._next)
            return ()
        if kind is Kind.OBJECT:
            return tuple(self._bracketed(lambda: self._member(depth)))
        return _named(self._bracketed(lambda: self.type(depth)), (ELEMENT,) if kind is Kind.ARRAY else (KEY, VALUE))

    def _member(self, depth: int) -> Member:
        name = self._next().text
        if name.isdigit() and self._skip(":"):  # Iceberg prints a field's id before its name
            name = self._next().text
        self._skip(":")
        if self._peek() in {"required", "optional"}:
            self._at += 1
        return Member(name, self.type(depth))

    def _simple(self, word: str) -> ColumnType:
        word = self._joined(word)
        if word in {"timestamp", "time"}:
            return self._time(word)
        if word == "float" and self._dialect in _WIDE_FLOAT:
            word = "double"
        if word == "bit" and self._dialect == "tsql":
            word = "boolean"
        known = _SIMPLE.get(word)
        if known is None:
            raise _NotUnderstoodError
        numbers = self._numbers()
        if self._skip("unsigned") and known.bits:
            known = replace(known, bits=-known.bits)
        return self._zone(_with_numbers(self._one_number(known), numbers))

    def _joined(self, word: str) -> str:
        """Types of several words as one: `double precision`, `character varying`."""
        while self._peek() in {"precision", "varying", "large"} or word == "national":
            word += self._next().text.lower()
        return word

    def _one_number(self, known: ColumnType) -> ColumnType:
        if self._dialect in ONE_NUMBER_TYPE and known.kind is Kind.INTEGER:
            return ColumnType(Kind.DECIMAL, precision=38, scale=0)
        if self._dialect == "snowflake" and known.kind is Kind.FLOAT:
            return replace(known, bits=64)
        if self._dialect == "bigquery" and known.kind is Kind.INTEGER:
            return replace(known, bits=64)
        return known

    def _time(self, word: str) -> ColumnType:
        zone = _BARE_TIMESTAMP_ZONE.get(self._dialect) if word == "timestamp" else False
        kind = Kind.TIMESTAMP if word == "timestamp" else Kind.TIME
        return self._zone(_with_numbers(ColumnType(kind, zone=zone), self._numbers()))

    def _zone(self, found: ColumnType) -> ColumnType:
        said = self._peek()
        if said not in {"with", "without"}:
            return found
        self._at += 1
        self._skip("local")
        if not (self._skip("time") and self._skip("zone")):
            raise _NotUnderstoodError
        return replace(found, zone=said == "with")

    def _suffixed(self, found: ColumnType) -> ColumnType:
        """`T[]`, `T[3]`, `T array`."""
        while True:
            if self._skip("["):
                if self._peek() != "]":
                    self._number()
                self._expect("]")
            elif not self._skip("array"):
                return found
            found = ColumnType(Kind.ARRAY, members=(Member(ELEMENT, found),))

    def _numbers(self) -> tuple[int, ...]:
        if self._peek() not in {"(", "["} or self._peek(1) == "]" or (self._peek() == "[" and not self._is_fixed()):
            return ()
        return tuple(self._bracketed(self._number))

    def _is_fixed(self) -> bool:
        """Whether this is Iceberg's `fixed[16]`, whose bracket is a length and no array."""
        return self._at > 0 and self._tokens[self._at - 1].text.lower() == "fixed"

    def _number(self) -> int:
        text = self._next().text.lower()
        if text == "max":  # no bound
            return -1
        if not text.isdecimal():
            raise _NotUnderstoodError
        if self._peek() in {"char", "byte"}:  # Oracle's `varchar2(20 char)`
            self._at += 1
        return int(text)

    def _bracketed(self, part: Callable[[], PartT]) -> list[PartT]:
        """What stands between brackets of any of the three forms, by commas."""
        closing = {"(": ")", "<": ">", "[": "]"}.get(self._next().text)
        if closing is None:
            raise _NotUnderstoodError
        found = [part()]
        while self._skip(","):
            found.append(part())
        self._expect(closing)
        return found

    def _peek(self, ahead: int = 0) -> str:
        """The next word or sign in lower case; empty at the end and for a quoted name."""
        at = self._at + ahead
        if at >= len(self._tokens) or self._tokens[at].is_quoted:
            return ""
        return self._tokens[at].text.lower()

    def _next(self) -> _Token:
        if self._at >= len(self._tokens):
            raise _NotUnderstoodError
        self._at += 1
        return self._tokens[self._at - 1]

    def _skip(self, word: str) -> bool:
        if self._peek() != word:
            return False
        self._at += 1
        return True

    def _expect(self, word: str) -> None:
        if not self._skip(word):
            raise _NotUnderstoodError


def _named(types: list[ColumnType], names: tuple[str, ...]) -> tuple[Member, ...]:
    if len(types) != len(names):
        raise _NotUnderstoodError
    return tuple(Member(name, found) for name, found in zip(names, types, strict=True))


def _with_numbers(known: ColumnType, numbers: tuple[int, ...]) -> ColumnType:
    """The type with what stands in its brackets; a display width of an integer means nothing."""
    first = numbers[0] if numbers else None
    second = numbers[1] if len(numbers) > 1 else None
    if first is None:
        return known
    if known.kind is Kind.DECIMAL:
        return replace(known, precision=first, scale=second)
    if known.kind in {Kind.TIMESTAMP, Kind.TIME}:
        return replace(known, precision=first)
    if known.kind in {Kind.STRING, Kind.BINARY} and first >= 0:
        return replace(known, length=first)
    return known
