"""Whether a query only reads (pure): an allow-list of functions, since what a function does cannot be seen in its call.

`SELECT setval('orders_id_seq', 1)` and `SELECT count(*) FROM read_csv('https://…')` are queries, and neither only reads
the promised table. So a function is called only if it is known to compute from its arguments alone, which means that
`reading_functions.txt` lists it: by sqlglot's type of it, or by its name. Whatever else is called is refused, unless
the platform allows it by name; a type that a later sqlglot adds is refused until it is listed.

The source keeps a second fence: a read-only session with a timeout (`ComputePlugin.fetch_rows`).
"""

import re
from collections.abc import Collection
from importlib.resources import files
from typing import Final

from sqlglot import exp


def _listed(section: str) -> frozenset[str]:
    lines = files(__package__).joinpath("reading_functions.txt").read_text(encoding="utf-8").splitlines()
    begin = lines.index(f"[{section}]") + 1
    end = next((index for index, line in enumerate(lines) if index >= begin and not line), len(lines))
    return frozenset(" ".join(lines[begin:end]).split())


_TYPED: Final = _listed("typed")
_NAMED: Final = _listed("named")
# Statements inside a query; what holds up writers (FOR UPDATE); a script that rows are sent through.
_WRITES: Final = (
    exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Create, exp.Drop, exp.Alter, exp.Command, exp.Copy, exp.Set,
    exp.Into, exp.Lock, exp.QueryTransform,
)  # fmt: skip
_BY_NAME: Final = (exp.Anonymous, exp.AnonymousAggFunc, exp.ParameterizedAgg)
# Oracle and Snowflake write a sequence's step as a column of it.
_SEQUENCE_STEPS: Final = frozenset({"nextval"})
# Engines that read files take a file's name for a table's.
_FILE_NAME: Final = re.compile(
    r"[/\\:*?]|\.(csv|tsv|txt|json|jsonl|ndjson|parquet|orc|avro|xlsx|db|duckdb|sqlite)(\.\w+)?$", re.IGNORECASE
)


def why_not(query: exp.Query, allowed: Collection[str] = ()) -> str | None:
    """Why a query may do more than read tables; None if it only reads.

    Args:
        query: Parsed.
        allowed: Names of further functions that the platform trusts, in lower case.
    """
    if query.find(*_WRITES):
        return "The query would write."
    for node in query.walk():
        if reason := _refusal(node, allowed):
            return reason
    return None


def _refusal(node: exp.Expr, allowed: Collection[str]) -> str | None:
    if isinstance(node, exp.Func):
        return None if _is_known(node, allowed) else f"The function {_name(node)} is not known to only read."
    if isinstance(node, exp.Column) and node.table and node.name.lower() in _SEQUENCE_STEPS:
        return f"{node.table}.{node.name} would move a sequence."
    if isinstance(node, exp.Table):
        return _refused_table(node)
    return None


def _is_known(function: exp.Func, allowed: Collection[str]) -> bool:
    if isinstance(function, _BY_NAME):
        name = _name(function)
        # A schema before the name makes it another function: `private.lower` may do anything.
        is_qualified = isinstance(function.parent, exp.Dot) and function.parent.expression is function
        return name in allowed or (name in _NAMED and not is_qualified)
    return type(function).__name__ in _TYPED or _name(function) in allowed


def _name(function: exp.Func) -> str:
    named = function.name if isinstance(function, _BY_NAME) else function.sql_name()
    return named.lower()


def _refused_table(table: exp.Table) -> str | None:
    if isinstance(table.this, exp.Func):
        return None  # judged as a function
    if not isinstance(table.this, exp.Identifier):
        return f"{table.sql()} is no table."
    full_name = ".".join(part.name for part in table.parts)
    return f"{full_name} names a file, not a table." if _FILE_NAME.search(full_name) else None
