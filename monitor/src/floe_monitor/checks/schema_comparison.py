"""The differences between a table as it is promised and as it is (pure; FR-012).

Columns are matched by field id where one is known, then by name; the order of columns means nothing. Paths name nested
columns: `orders.address.city`, `orders.tags.element`, `orders.prices.value`.

| kind | when | severity | consumers break |
|---|---|---|---|
| removed | a promised column, or the table, is not there | critical | yes |
| renamed | it has another name and the same field id | critical | yes |
| readded | its name belongs to a new field: rows written before read as null | error | yes |
| type_changed | its type is not the promised one | error | unless every promised value still fits |
| nullability_changed | `required` is promised either way, and it is the other | warning | if it may be null now |
| constraint_changed | key, partitioning or sort order are promised, and others | warning | no |
| added | a column that the contract does not describe | warning | no |
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from floe_core.plugin_interfaces.alert_channel import ViolationSeverity
from floe_core.plugin_interfaces.catalog import Column as CatalogColumn
from floe_core.plugin_interfaces.catalog import Table
from floe_monitor.checks.field_ids import TableIds
from floe_monitor.checks.names import NameRule, name_rule
from floe_monitor.checks.type_comparison import ICEBERG, is_compared, is_kept, is_widening, promised_type
from floe_monitor.contracts.column_types import ELEMENT, KEY, VALUE, ColumnType, Kind, Member
from floe_monitor.contracts.model import Column, ContractTable
from floe_monitor.contracts.type_reading import read_type

_CONTAINERS = {Kind.OBJECT: (), Kind.ARRAY: (ELEMENT,), Kind.MAP: (KEY, VALUE)}
_TRANSFORMED = re.compile(r"\w+(?:\[\d+\])?\((?:\d+\s*,\s*)?(.+?)(?:\s*,\s*\d+)?\)")


class DifferenceKind(StrEnum):
    """What has changed; the docs' table takes the words from here."""

    REMOVED = "removed"
    RENAMED = "renamed"
    READDED = "readded"
    TYPE_CHANGED = "type_changed"
    NULLABILITY_CHANGED = "nullability_changed"
    CONSTRAINT_CHANGED = "constraint_changed"
    ADDED = "added"

    @property
    def severity(self) -> ViolationSeverity:
        """How much it weighs."""
        return SEVERITIES[self]


SEVERITIES: Final[Mapping[DifferenceKind, ViolationSeverity]] = {
    DifferenceKind.REMOVED: ViolationSeverity.CRITICAL,
    DifferenceKind.RENAMED: ViolationSeverity.CRITICAL,
    DifferenceKind.READDED: ViolationSeverity.ERROR,
    DifferenceKind.TYPE_CHANGED: ViolationSeverity.ERROR,
    DifferenceKind.NULLABILITY_CHANGED: ViolationSeverity.WARNING,
    DifferenceKind.CONSTRAINT_CHANGED: ViolationSeverity.WARNING,
    DifferenceKind.ADDED: ViolationSeverity.WARNING,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, in names and types only."""

    path: str
    kind: DifferenceKind
    expected: str | None
    actual: str | None
    breaks_consumers: bool

    @property
    def severity(self) -> ViolationSeverity:
        """How much it weighs."""
        return self.kind.severity


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found.

    Attributes:
        not_compared: Paths whose types could not be compared: neither side is understood.
        ids: Field ids by path, as they are to be remembered.
    """

    differences: tuple[Difference, ...] = ()
    not_compared: tuple[str, ...] = ()
    ids: TableIds = field(default_factory=TableIds)


def compare(promised: ContractTable, actual: Table | None, known: TableIds, dialect: str) -> Comparison:
    """The differences, by path.

    Args:
        promised: The contract's table.
        actual: The catalog's; None if the catalog knows no such table.
        known: Field ids that are remembered.
        dialect: Of the engine, as sqlglot names it; decides on spellings and on the case of names.
    """
    if actual is None:
        gone = Difference(promised.name, DifferenceKind.REMOVED, "the table", "no such table", breaks_consumers=True)
        return Comparison((gone,), ids=known)
    comparer = _Comparer(known.of(actual.uuid), dialect)
    nodes = tuple(_node(column, dialect) for column in actual.columns)
    comparer.columns(promised.columns, nodes, ())
    found = [*comparer.found(promised.name), *_constraints(promised, actual, name_rule(dialect))]
    return Comparison(
        tuple(sorted(found, key=lambda difference: (difference.path, difference.kind))),
        tuple(sorted(f"{promised.name}.{path}" for path in comparer.not_compared)),
        TableIds(actual.uuid, comparer.ids),
    )


@dataclass(frozen=True, slots=True)
class _Node:
    """A column of the catalog, with its type read and its parts named alike for all catalogs."""

    name: str
    text: str
    type: ColumnType
    dialect: str
    required: bool | None
    field_id: int | None
    children: tuple["_Node", ...]


def _node(column: CatalogColumn, dialect: str, name: str | None = None) -> _Node:
    # Whoever gives field ids speaks Iceberg's words, whatever engine reads the table.
    spoken = ICEBERG if column.field_id is not None else dialect
    found = read_type(column.type, spoken)
    names: tuple[str, ...] = _CONTAINERS.get(found.kind, ())
    if column.children:
        parts = [names[index] if index < len(names) else None for index in range(len(column.children))]
        children = tuple(_node(child, dialect, part) for child, part in zip(column.children, parts, strict=True))
    else:
        children = tuple(_member(member, spoken) for member in found.members)
    text = found.kind.value if found.kind in {*_CONTAINERS, Kind.ENUM} else column.type
    return _Node(name or column.name, text, found, spoken, column.required, column.field_id, children)


def _member(member: Member, dialect: str) -> _Node:
    """A part that only the type's text tells of; it says nothing about null."""
    children = tuple(_member(part, dialect) for part in member.type.members)
    return _Node(member.name, str(member.type), member.type, dialect, None, None, children)


Path = tuple[str, ...]


class _Comparer:
    """Walks both trees; collects differences, what could not be compared, and ids."""

    def __init__(self, known: Mapping[str, int], dialect: str) -> None:
        self._known = known
        self._dialect = dialect
        self._rule = name_rule(dialect)
        self._found: list[tuple[Path, DifferenceKind, str | None, str | None, bool]] = []
        self.not_compared: list[str] = []
        self.ids: dict[str, int] = {}

    def found(self, table: str) -> Iterator[Difference]:
        """The differences, with whole paths."""
        for path, kind, expected, actual, breaks in self._found:
            yield Difference(".".join((table, *path)), kind, expected, actual, breaks)

    def columns(self, promised: Sequence[Column], actual: Sequence[_Node], path: Path) -> None:
        """Columns of a table, or parts of a nested column."""
        pairs = self._matched(promised, actual, path)
        for column in promised:
            here = (*path, column.source_name)
            node = pairs.get(column.source_name)
            if node is None:
                self._remember(here, None)
                self._add(here, DifferenceKind.REMOVED, _promise_text(column), None, breaks=True)
            else:
                self._pair(column, node, here)
        matched = {id(node) for node in pairs.values()}
        for node in actual:
            if id(node) not in matched:
                required = ", required" if node.required else ""
                self._add((*path, node.name), DifferenceKind.ADDED, None, f"{node.text}{required}", breaks=False)

    def _matched(self, promised: Sequence[Column], actual: Sequence[_Node], path: Path) -> dict[str, _Node]:
        """By id first: a name may belong to another column by now."""
        free = list(actual)
        pairs: dict[str, _Node] = {}
        for column in promised:
            known = self._known.get(".".join((*path, column.source_name)))
            node = next((node for node in free if known is not None and node.field_id == known), None)
            if node is not None:
                pairs[column.source_name] = node
                free.remove(node)
        for matches in (str.__eq__, self._rule.matches):
            for column in promised:
                if column.source_name in pairs:
                    continue
                node = next((node for node in free if matches(column.source_name, node.name)), None)
                if node is not None:
                    pairs[column.source_name] = node
                    free.remove(node)
        return pairs

    def _pair(self, column: Column, node: _Node, path: Path) -> None:
        known = self._known.get(".".join(path))
        self._remember(path, node.field_id)
        if not self._rule.matches(column.source_name, node.name):
            self._add(path, DifferenceKind.RENAMED, column.source_name, node.name, breaks=True)
        elif known is not None and node.field_id is not None and known != node.field_id:
            self._add(path, DifferenceKind.READDED, f"field {known}", f"field {node.field_id}", breaks=True)
        self._type(column, node, path)
        if column.required is not None and node.required is not None and column.required != node.required:
            words = {True: "required", False: "may be null"}
            self._add(
                path,
                DifferenceKind.NULLABILITY_CHANGED,
                words[column.required],
                words[node.required],
                breaks=column.required,
            )

    def _type(self, column: Column, node: _Node, path: Path) -> None:
        # An Iceberg table's contract may use the engine's words or Iceberg's.
        dialects = {node.dialect, self._dialect}
        if not any(is_kept(column, node.type, node.text, dialect) for dialect in dialects):
            breaks = not is_widening(promised_type(column, node.dialect), node.type)
            self._add(path, DifferenceKind.TYPE_CHANGED, _promise_text(column), node.text, breaks=breaks)
            return
        has_type = column.physical_type or column.logical_type
        if has_type and not any(is_compared(column, node.type, dialect) for dialect in dialects):
            self.not_compared.append(".".join(path))
        children = column.children or _pinned_children(column, node.dialect)
        if children and node.type.kind in _CONTAINERS and node.children:
            self.columns(children, node.children, path)

    def _remember(self, path: Path, field_id: int | None) -> None:
        """What was learned first stays, as long as it is promised."""
        key = ".".join(path)
        learned = self._known.get(key, field_id)
        if learned is not None:
            self.ids[key] = learned

    def _add(self, path: Path, kind: DifferenceKind, expected: str | None, actual: str | None, *, breaks: bool) -> None:
        self._found.append((path, kind, expected, actual, breaks))


def _pinned_children(column: Column, dialect: str) -> tuple[Column, ...]:
    """Parts of a nested type that `physicalType` alone describes."""
    pinned = promised_type(column, dialect)
    return tuple(_pinned(member) for member in pinned.members) if pinned is not None else ()


def _pinned(member: Member) -> Column:
    return Column(member.name, member.name, physical_type=str(member.type))


def _promise_text(column: Column) -> str:
    zone = {True: " with time zone", False: " without time zone", None: ""}[column.with_zone]
    required = ", required" if column.required else ""
    return f"{column.physical_type or (column.logical_type or 'any type') + zone}{required}"


def _constraints(promised: ContractTable, actual: Table, rule: NameRule) -> Iterator[Difference]:
    """Key and partitioning as sets, the sort order as a sequence; only what is promised and what the catalog tells."""
    if promised.primary_key and actual.primary_key is not None:
        yield from _constraint(promised, "primary key", promised.primary_key, actual.primary_key, rule)
    if promised.partitioned_by:
        columns = _sources(actual.partitioned_by)
        yield from _constraint(promised, "partitioned by", promised.partitioned_by, columns, rule)
    if promised.sorted_by:
        columns = _sources(actual.sorted_by)
        if len(columns) != len(promised.sorted_by) or not all(map(rule.matches, promised.sorted_by, columns)):
            yield _changed(promised, "sorted by", promised.sorted_by, columns)


def _constraint(
    promised: ContractTable, what: str, expected: Sequence[str], actual: Sequence[str], rule: NameRule
) -> Iterator[Difference]:
    kept = len(expected) == len(actual) and all(any(rule.matches(name, other) for other in actual) for name in expected)
    if not kept:
        yield _changed(promised, what, expected, actual)


def _changed(promised: ContractTable, what: str, expected: Sequence[str], actual: Sequence[str]) -> Difference:
    def shown(columns: Sequence[str]) -> str:
        return f"{what} {', '.join(columns)}" if columns else f"not {what}" if what.endswith("by") else f"no {what}"

    return Difference(
        promised.name, DifferenceKind.CONSTRAINT_CHANGED, shown(expected), shown(actual), breaks_consumers=False
    )


def _sources(columns: Iterable[str]) -> tuple[str, ...]:
    """The columns under transforms and directions: `day(updated_at)`, `bucket[16](id)`, `id DESC`."""
    found = []
    for column in columns:
        transformed = _TRANSFORMED.match(column)
        found.append(transformed[1] if transformed else column.split(" ")[0])
    return tuple(found)
