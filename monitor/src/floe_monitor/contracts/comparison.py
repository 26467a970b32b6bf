"""What changes between two versions of a contract, and which part of the version number that moves (pure).

| change                                                                              | level |
|-------------------------------------------------------------------------------------|-------|
| a table or column is removed                                                        | major |
| a column's type changes                                                             | major |
| a column becomes required, or a required one is added                               | major |
| the primary key changes                                                             | major |
| a service level or a quality rule is removed, relaxed, or changed in no clear direction | major |
| a table or an optional column is added, a column is required no longer              | minor |
| a service level or a quality rule is added or becomes stricter                      | minor |
| partitioning or sort order changes                                                  | minor |
| anything else: descriptions, tags, owners                                           | patch |

A column under another name is one removed and one added: consumers ask by name.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from floe_monitor.contracts.model import Column, Contract, ContractTable, QualityRule

_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:[-+].*)?")
_STRICTER_WHEN_LESS = frozenset({"mustBeLessThan", "mustBeLessOrEqualTo"})
_STRICTER_WHEN_MORE = frozenset({"mustBeGreaterThan", "mustBeGreaterOrEqualTo"})


class Level(IntEnum):
    """The part of a version number."""

    PATCH = 1
    MINOR = 2
    MAJOR = 3


@dataclass(frozen=True, slots=True)
class Change:
    """One change."""

    level: Level
    path: str
    what: str


@dataclass(frozen=True, slots=True)
class ContractDiff:
    """All changes between two versions of a contract.

    Attributes:
        changes: The heaviest first, then by path.
        needed: The part of the version number that has to move; None if nothing has changed.
        moved: The part that did move; None if none, or if the versions are no numbers.
    """

    changes: tuple[Change, ...]
    needed: Level | None
    moved: Level | None

    @property
    def is_version_enough(self) -> bool:
        """Whether the new version says how much has changed."""
        return self.needed is None or (self.moved is not None and self.moved >= self.needed)


def compare_contracts(old: Contract, new: Contract) -> ContractDiff:
    """The changes from one version to another."""
    found = [*_tables(old, new), *_service_levels(old, new), *_rules(old, new)]
    if not found and _without_version(old.document) != _without_version(new.document):
        found.append(Change(Level.PATCH, "contract", "texts or other descriptions changed"))
    changes = tuple(sorted(found, key=lambda change: (-change.level, change.path, change.what)))
    needed = max((change.level for change in changes), default=None)
    return ContractDiff(changes, needed, _moved(old.id.version, new.id.version))


def _tables(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = _by_name(old.tables), _by_name(new.tables)
    for name in before.keys() - after.keys():
        yield Change(Level.MAJOR, name, "table removed")
    for name in after.keys() - before.keys():
        yield Change(Level.MINOR, name, "table added")
    for name in before.keys() & after.keys():
        yield from _columns(before[name].columns, after[name].columns, name)
        yield from _constraints(before[name], after[name])


def _by_name(tables: tuple[ContractTable, ...]) -> Mapping[str, ContractTable]:
    return {table.name: table for table in tables}


def _columns(old: tuple[Column, ...], new: tuple[Column, ...], path: str) -> Iterator[Change]:
    before, after = {column.name: column for column in old}, {column.name: column for column in new}
    for name in before.keys() - after.keys():
        yield Change(Level.MAJOR, f"{path}.{name}", "column removed")
    for name in after.keys() - before.keys():
        if after[name].required:
            yield Change(Level.MAJOR, f"{path}.{name}", "required column added")
        else:
            yield Change(Level.MINOR, f"{path}.{name}", "column added")
    for name in before.keys() & after.keys():
        yield from _column(before[name], after[name], f"{path}.{name}")


def _column(old: Column, new: Column, path: str) -> Iterator[Change]:
    if _type(old) != _type(new):
        yield Change(Level.MAJOR, path, f"type changed from {_words(old)} to {_words(new)}")
    if new.required and not old.required:
        yield Change(Level.MAJOR, path, "became required")
    elif old.required and not new.required:
        yield Change(Level.MINOR, path, "is required no longer")
    if old.source_name != new.source_name:
        yield Change(Level.MAJOR, path, f"is {new.source_name} in the source, was {old.source_name}")
    yield from _columns(old.children, new.children, path)


def _type(column: Column) -> tuple[object, ...]:
    physical = (column.physical_type or "").lower().replace(" ", "")
    return (column.logical_type, physical, column.with_zone, column.time_zone)


def _words(column: Column) -> str:
    return column.physical_type or column.logical_type or "no type"


def _constraints(old: ContractTable, new: ContractTable) -> Iterator[Change]:
    if set(old.primary_key) != set(new.primary_key):
        yield Change(Level.MAJOR, old.name, "primary key changed")
    if set(old.partitioned_by) != set(new.partitioned_by):
        yield Change(Level.MINOR, old.name, "partitioning changed")
    if old.sorted_by != new.sorted_by:
        yield Change(Level.MINOR, old.name, "sort order changed")


def _service_levels(old: Contract, new: Contract) -> Iterator[Change]:
    before = {promise.element: promise.threshold.total_seconds() for promise in old.freshness}
    after = {promise.element: promise.threshold.total_seconds() for promise in new.freshness}
    for element in before.keys() | after.keys():
        # A shorter time is the stricter promise.
        yield from _level(before.get(element), after.get(element), f"freshness of {element}", more_is_stricter=False)
    yield from _level(
        old.availability.ratio if old.availability else None,
        new.availability.ratio if new.availability else None,
        "availability",
        more_is_stricter=True,
    )


def _level(old: float | None, new: float | None, path: str, *, more_is_stricter: bool) -> Iterator[Change]:
    if old == new:
        return
    if old is None or new is None:
        yield Change(Level.MAJOR if new is None else Level.MINOR, path, "removed" if new is None else "added")
    elif (new > old) is more_is_stricter:
        yield Change(Level.MINOR, path, "became stricter")
    else:
        yield Change(Level.MAJOR, path, "was relaxed")


def _rules(old: Contract, new: Contract) -> Iterator[Change]:
    before, after = ({rule.element: rule for rule in contract.quality} for contract in (old, new))
    for element in before.keys() - after.keys():
        yield Change(Level.MAJOR, element, "quality rule removed")
    for element in after.keys() - before.keys():
        yield Change(Level.MINOR, element, "quality rule added")
    for element in before.keys() & after.keys():
        yield from _rule(before[element], after[element])


def _rule(old: QualityRule, new: QualityRule) -> Iterator[Change]:
    before, after = old.check.parameters, new.check.parameters
    if before == after:
        return
    operator = before["operator"]
    bounds_only = _but_bound(before) == _but_bound(after)
    grew = after["bound"][0] > before["bound"][0]
    stricter = (operator in _STRICTER_WHEN_LESS and not grew) or (operator in _STRICTER_WHEN_MORE and grew)
    if bounds_only and stricter:
        yield Change(Level.MINOR, old.element, "quality rule became stricter")
    elif bounds_only and operator in _STRICTER_WHEN_LESS | _STRICTER_WHEN_MORE:
        yield Change(Level.MAJOR, old.element, "quality rule was relaxed")
    else:
        yield Change(Level.MAJOR, old.element, "quality rule changed")


def _but_bound(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key != "bound"}


def _without_version(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in {"version", "apiVersion"}}


def _moved(old: str, new: str) -> Level | None:
    before, after = _VERSION.fullmatch(old), _VERSION.fullmatch(new)
    if before is None or after is None:
        return None
    for level, was, now in zip((Level.MAJOR, Level.MINOR, Level.PATCH), before.groups(), after.groups(), strict=True):
        if int(now or 0) != int(was or 0):
            return level if int(now or 0) > int(was or 0) else None
    return None
