"""Quality rules of an ODCS contract, of its tables and of their columns (FR-015).

| ODCS                                  | here                                                                      |
|---------------------------------------|---------------------------------------------------------------------------|
| `type: library` (also without `type`) | `metric`, or what ODCS 3.0 calls it in `rule`                             |
| `type: sql`                           | `query`                                                                   |
| `type: text`, `type: custom`          | a remark: declared and not checked                                        |
| `mustBe…`                             | operator and number; without one, bad rows must be 0                      |
| `unit: percent`                       | the share of the table's rows                                             |
| `dimension`                           | conformity is validity, uniqueness consistency, coverage completeness     |
| `severity`                            | `info`, `warning` or heavier words; without one a broken rule is an error |
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from open_data_contract_standard.model import DataQuality, SchemaObject, SchemaProperty

from floe_core.manifest.document import KeyPath
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity
from floe_core.plugin_interfaces.quality import Dimension, QualityCheck, SeverityLevel
from floe_monitor.contracts.model import ContractTable, QualityRule
from floe_monitor.contracts.pruning import REFUSED

Report = Callable[[KeyPath, str, str | None], None]

_BAD_ROWS: Final = frozenset({"nullValues", "missingValues", "invalidValues", "duplicateValues"})
_METRICS: Final = _BAD_ROWS | {"rowCount"}
# What ODCS 3.0 and its examples call them.
_OLDER_NAMES: Final = {
    "nullCheck": "nullValues",
    "nullCount": "nullValues",
    "duplicateCount": "duplicateValues",
    "uniqueCheck": "duplicateValues",
    "validValues": "invalidValues",
    "countCheck": "rowCount",
}
_TYPES: Final = frozenset({"library", "sql", "text", "custom"})
_OPERATORS: Final = (
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
)
_DIMENSIONS: Final = {dimension.value: dimension for dimension in Dimension} | {
    "conformity": Dimension.VALIDITY,
    "uniqueness": Dimension.CONSISTENCY,
    "coverage": Dimension.COMPLETENESS,
}
_DIMENSION_OF_METRIC: Final = {
    "nullValues": Dimension.COMPLETENESS,
    "missingValues": Dimension.COMPLETENESS,
    "rowCount": Dimension.COMPLETENESS,
    "invalidValues": Dimension.VALIDITY,
    "duplicateValues": Dimension.CONSISTENCY,
    "sql": Dimension.ACCURACY,
}
_LIGHT: Final = {
    "info": (ViolationSeverity.INFO, SeverityLevel.INFO),
    "low": (ViolationSeverity.INFO, SeverityLevel.INFO),
    "warning": (ViolationSeverity.WARNING, SeverityLevel.WARNING),
    "warn": (ViolationSeverity.WARNING, SeverityLevel.WARNING),
    "medium": (ViolationSeverity.WARNING, SeverityLevel.WARNING),
}
_HEAVY: Final = (ViolationSeverity.ERROR, SeverityLevel.CRITICAL)
_UNSAID: Final = (ViolationSeverity.ERROR, SeverityLevel.WARNING)


def quality_rules(
    schema: Sequence[SchemaObject],
    tables: Mapping[str, ContractTable],
    document: Mapping[str, Any],
    report: Report,
) -> Iterator[QualityRule]:
    """The rules that can be checked, in the contract's order; what is wrong with a rule is reported with its place.

    Args:
        schema: The contract's tables as ODCS describes them.
        tables: The same tables, as checks know them, by name.
        document: The contract as it was read: the model drops what ODCS 3.0 wrote beside a rule.
        report: Takes each problem.
    """
    taken: set[str] = set()
    for index, table in enumerate(schema):
        known = tables.get(table.name or "")
        if known is None:
            continue
        reader = _Rules(known, document, report, taken)
        yield from reader.rules(table.quality, ("schema", index, "quality"), None)
        for position, column in enumerate(table.properties or ()):
            yield from reader.rules(column.quality, ("schema", index, "properties", position, "quality"), column)


def unchecked(schema: Sequence[SchemaObject]) -> Iterator[str]:
    """What is declared and cannot be checked, as sentences."""
    for table in schema:
        for owner, rule in _all_rules(table):
            if reason := _why_unchecked(rule):
                yield f"A quality rule of {owner} is not checked: {reason}."
        for column in table.properties or ():
            for part in _parts(column, f"{table.name}.{column.name}"):
                yield f"The quality rules of {part} are not checked: it is a part of a column."


def _parts(column: SchemaProperty, path: str) -> Iterator[str]:
    """What is inside a column and has rules, at any depth."""
    inner = [(part, f"{path}.{part.name}") for part in column.properties or ()]
    if column.items is not None:
        inner.append((column.items, f"{path}[]"))
    for part, name in inner:
        if part.quality:
            yield name
        yield from _parts(part, name)


def _why_unchecked(rule: DataQuality) -> str:
    kind = rule.type or "library"
    if kind in {"text", "custom"}:
        return f"its type is {kind}"
    named = rule.metric or rule.rule
    metric = "sql" if kind == "sql" else _metric(rule)
    if metric is None:
        return f"the metric {named} is not known" if named else ""
    return "" if metric in _BAD_ROWS or _operators(rule) else f"{metric} is compared with nothing"


def _all_rules(table: SchemaObject) -> Iterator[tuple[str, DataQuality]]:
    for rule in table.quality or ():
        yield str(table.name), rule
    for column in table.properties or ():
        for rule in column.quality or ():
            yield f"{table.name}.{column.name}", rule


def _operators(rule: DataQuality) -> list[tuple[str, Any]]:
    return [(operator, getattr(rule, operator)) for operator in _OPERATORS if getattr(rule, operator) is not None]


def _metric(rule: DataQuality) -> str | None:
    named = rule.metric or rule.rule or ""
    metric = _OLDER_NAMES.get(named, named)
    return metric if metric in _METRICS else None


class _Rules:
    """The rules of one table."""

    def __init__(self, table: ContractTable, document: Mapping[str, Any], report: Report, taken: set[str]) -> None:
        self._table = table
        self._document = document
        self._report = report
        self._taken = taken

    def rules(
        self, given: Sequence[DataQuality] | None, path: KeyPath, column: SchemaProperty | None
    ) -> Iterator[QualityRule]:
        for index, rule in enumerate(given or ()):
            here = (*path, index)
            kind = rule.type or "library"
            if kind == REFUSED:
                continue  # its problem is known already
            metric = "sql" if kind == "sql" else _metric(rule) if kind == "library" else None
            if metric is None:
                self._check_kind(rule, kind, here)
                continue
            parameters = self._parameters(rule, metric, here, column)
            if parameters is not None:
                yield self._rule(rule, metric, parameters, column)

    def _check_kind(self, rule: DataQuality, kind: str, path: KeyPath) -> None:
        if kind == "library" and not (rule.metric or rule.rule):
            self._report(path, "A quality rule without `metric`.", f"Metrics: {', '.join(sorted(_METRICS))}.")
        if kind not in _TYPES:
            self._report((*path, "type"), f"The type {kind} is not known.", f"Types: {', '.join(sorted(_TYPES))}.")

    def _rule(
        self, rule: DataQuality, metric: str, parameters: dict[str, Any], column: SchemaProperty | None
    ) -> QualityRule:
        severity, weight = _severity(rule.severity)
        owner = f"{self._table.name}.{column.name}" if column else self._table.name
        element = self._unique(f"{owner}: {rule.name or rule.id or metric}")
        dimension = _DIMENSIONS.get((rule.dimension or "").strip().lower(), _DIMENSION_OF_METRIC[metric])
        check = QualityCheck(
            name=element,
            type=metric,
            column=(column.physicalName or column.name) if column else None,
            dimension=dimension,
            severity=weight,
            parameters=parameters,
        )
        return QualityRule(self._table, check, severity)

    def _unique(self, element: str) -> str:
        """Two rules of one name are two promises, each with an episode of its own."""
        name, number = element, 2
        while name in self._taken:
            name, number = f"{element} #{number}", number + 1
        self._taken.add(name)
        return name

    def _parameters(
        self, rule: DataQuality, metric: str, path: KeyPath, column: SchemaProperty | None
    ) -> dict[str, Any] | None:
        found: dict[str, Any] = {"metric": metric}
        bound = self._bound(rule, metric, path)
        columns = self._columns(rule, metric, path, column)
        if bound is None or columns is None:
            return None
        found |= bound | {"columns": columns}
        if metric == "sql":
            if not rule.query:
                self._report(path, "An SQL rule without `query`.", "Write one SELECT that gives a number.")
                return None
            found["query"] = rule.query
        elif rule.unit == "percent":
            found["unit"] = "percent"
        found |= self._arguments(path)
        if metric == "invalidValues" and not found.keys() & {"valid_values", "pattern"}:
            self._report(path, "`invalidValues` does not say what is valid.", "Give arguments.validValues or pattern.")
            return None
        return found

    def _arguments(self, path: KeyPath) -> dict[str, Any]:
        """`arguments`; ODCS 3.0 writes `validValues` beside the rule."""
        rule: Any = self._document
        for key in path:
            rule = rule[key]
        given = {**rule, **(rule.get("arguments") or {})}
        found: dict[str, Any] = {}
        for name, key in (("validValues", "valid_values"), ("missingValues", "missing_values")):
            if isinstance(values := given.get(name), list):
                found[key] = tuple(_value(value) for value in values)
        if isinstance(pattern := given.get("pattern"), str):
            found["pattern"] = pattern
        return found

    def _columns(
        self, rule: DataQuality, metric: str, path: KeyPath, column: SchemaProperty | None
    ) -> tuple[str, ...] | None:
        if column is not None:
            return (column.physicalName or column.name or "",)
        named = (rule.arguments or {}).get("properties")
        names = [str(name) for name in named] if isinstance(named, list) else []
        by_name = {known.name: known.source_name for known in self._table.columns}
        if unknown := [name for name in names if by_name and name not in by_name]:
            self._report(
                (*path, "arguments"),
                f"The contract describes no column {', '.join(unknown)} of {self._table.name}.",
                f"Columns: {', '.join(by_name)}.",
            )
            return None
        if metric in _BAD_ROWS and not names:
            self._report(path, f"`{metric}` of a whole table.", "Put the rule under a column, or name properties.")
            return None
        return tuple(by_name.get(name, name) for name in names)

    def _bound(self, rule: DataQuality, metric: str, path: KeyPath) -> dict[str, Any] | None:
        given = _operators(rule)
        if not given and metric in _BAD_ROWS:
            return {"operator": "mustBe", "bound": (0,)}
        if not given:
            return None  # a remark, see `unchecked`
        if len(given) > 1:
            several = " and ".join(operator for operator, _ in given)
            self._report(path, f"A rule compares by one operator; here: {several}.", "Write a rule for each.")
            return None
        operator, value = given[0]
        bound = tuple(value) if isinstance(value, list) else (value,)
        if not all(_is_number(end) for end in bound):
            self._report((*path, operator), f"`{operator}` is not a number.", "Rules compare numbers.")
            return None
        return {"operator": operator, "bound": bound}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _value(value: object) -> str | bool | int | float | None:
    # YAML reads dates as dates; the source's text of them is what can be compared.
    return value if isinstance(value, (str, bool, int, float, type(None))) else str(value)


def _severity(word: str | None) -> tuple[ViolationSeverity, SeverityLevel]:
    if not word:
        return _UNSAID
    return _LIGHT.get(word.strip().lower(), _HEAVY)
