"""Rules as SQL (pure): one SELECT with one number per rule, so that a table is read once however many rules it has.

Rules that need a grouping of their own (duplicates over several columns) and a rule's own query are scalar subqueries
of the same statement. Statements are built as sqlglot's syntax trees and written in the engine's dialect; identifiers
are quoted, so that their case and reserved words are taken as they are.
"""

import re
from collections.abc import Collection, Sequence

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from floe_core.errors import ConfigurationError
from floe_quality_odcs.read_only import why_not
from floe_quality_odcs.rules import Metric, Rule, Value

# A word, so that a pattern's quantifier, `{4}`, stays what it is.
_PLACEHOLDER = re.compile(r"\$?\{\s*([^\W\d]\w*)\s*\}")
_TABLE_WORDS = frozenset({"object", "table", "model", "schema"})
_COLUMN_WORDS = frozenset({"property", "column", "field"})


def statement(rules: Sequence[Rule], table: Sequence[str], dialect: str, allowed: Collection[str] = ()) -> str:
    """The query that gives the number of rows and then one number per rule, in one row.

    Args:
        rules: What is counted.
        table: Parts of the table's qualified name, outermost first.
        dialect: As sqlglot names it.
        allowed: Functions that rules' own queries may call beside those that are known to read, in lower case.

    Raises:
        ConfigurationError: A rule's own query is no single query, or may do more than read.
    """
    numbers = [_number(rule, table, dialect, allowed).as_(f"q{index}") for index, rule in enumerate(rules)]
    return exp.select(_count().as_("n"), *numbers).from_(_table(table)).sql(dialect=dialect)


def _number(rule: Rule, table: Sequence[str], dialect: str, allowed: Collection[str]) -> exp.Expression:
    match rule.metric:
        case Metric.ROW_COUNT:
            return _count()
        case Metric.SQL:
            return own_query(rule, table, dialect, allowed).subquery()
        case Metric.DUPLICATE_VALUES if len(rule.columns) > 1:
            return _duplicates(rule.columns, table)
        case _:
            return _of_column(rule, _column(rule.columns[0]))


def _of_column(rule: Rule, column: exp.Column) -> exp.Expression:
    match rule.metric:
        case Metric.NULL_VALUES:
            return _count() - _count(column)
        case Metric.MISSING_VALUES:
            return _count_where(_is_one_of(column, rule.missing_values))
        case Metric.DUPLICATE_VALUES:
            return _count(column) - exp.Count(this=exp.Distinct(expressions=[column.copy()]))
        case _:
            return _count_where(_is_invalid(rule, column))


def own_query(rule: Rule, table: Sequence[str], dialect: str, allowed: Collection[str] = ()) -> exp.Query:
    """A rule's own query with its placeholders filled.

    Raises:
        ConfigurationError: It cannot be parsed, is not one query, or may do more than read.
    """
    names = {"table": _table(table).sql(dialect=dialect)}
    if rule.columns:
        names["column"] = _column(rule.columns[0]).sql(dialect=dialect)
    text = _PLACEHOLDER.sub(lambda found: _name_for(found[1], names), rule.query or "")
    try:
        statements = [parsed for parsed in sqlglot.parse(text, dialect=dialect) if parsed is not None]
    except SqlglotError:
        raise ConfigurationError(
            "The rule's query cannot be parsed.", remedy=f"Write one SELECT for {dialect}."
        ) from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise ConfigurationError("The rule's query is not one SELECT.", remedy="Write one SELECT that gives a number.")
    if reason := why_not(statements[0], allowed):
        raise ConfigurationError(
            f"The rule's query is not sent. {reason}",
            remedy="Write one SELECT that only reads; the platform allows functions by `allowed_functions`.",
        )
    return statements[0]


def _name_for(word: str, names: dict[str, str]) -> str:
    kind = "table" if word in _TABLE_WORDS else "column" if word in _COLUMN_WORDS else None
    if kind is None or kind not in names:
        raise ConfigurationError(
            f"The rule's query has a placeholder {{{word}}} that stands for nothing here.",
            remedy="Use {object} for the table, and {property} in the rule of a column.",
        )
    return names[kind]


def _table(parts: Sequence[str]) -> exp.Table:
    name, schema, database = [*reversed(parts), "", ""][:3]
    return exp.table_(name, db=schema or None, catalog=database or None, quoted=True)


def _column(name: str) -> exp.Column:
    return exp.column(name, quoted=True)


def _count(of: exp.Expression | None = None) -> exp.Count:
    return exp.Count(this=of or exp.Star())


def _count_where(condition: exp.Condition) -> exp.Count:
    return _count(exp.Case(ifs=[exp.If(this=condition, true=exp.Literal.number(1))]))


def _is_one_of(column: exp.Column, values: Sequence[Value]) -> exp.Condition:
    found: list[exp.Condition] = []
    if None in values:
        found.append(exp.Is(this=column, expression=exp.Null()))
    if given := [value for value in values if value is not None]:
        # Engines refuse to compare a number's column with a text.
        as_text = any(isinstance(value, str) for value in given)
        left = exp.cast(column.copy(), "text") if as_text else column.copy()
        found.append(exp.In(this=left, expressions=[_literal(value, as_text=as_text) for value in given]))
    return exp.or_(*found) if found else exp.false()


def _is_invalid(rule: Rule, column: exp.Column) -> exp.Condition:
    wrong: list[exp.Condition] = []
    if rule.valid_values:
        given = [value for value in rule.valid_values if value is not None]
        wrong.append(exp.not_(exp.paren(_is_one_of(column, given))))
    if rule.pattern is not None:
        pattern = exp.RegexpLike(this=exp.cast(column.copy(), "text"), expression=exp.Literal.string(rule.pattern))
        wrong.append(exp.not_(exp.paren(pattern)))
    known = exp.not_(exp.Is(this=column.copy(), expression=exp.Null()))
    return exp.and_(known, exp.or_(*wrong))


def _duplicates(columns: Sequence[str], table: Sequence[str]) -> exp.Expression:
    known = exp.and_(*(exp.not_(exp.Is(this=_column(name), expression=exp.Null())) for name in columns))
    groups = exp.select(_count().as_("n")).from_(_table(table)).where(known).group_by(*map(_column, columns))
    beyond = exp.Coalesce(this=exp.Sum(this=exp.column("n") - 1), expressions=[exp.Literal.number(0)])
    return exp.select(beyond).from_(groups.subquery("d")).subquery()


def _literal(value: Value, *, as_text: bool) -> exp.Expression:
    if as_text:
        return exp.Literal.string(str(value).lower() if isinstance(value, bool) else str(value))
    return exp.Boolean(this=value) if isinstance(value, bool) else exp.Literal.number(str(value))
