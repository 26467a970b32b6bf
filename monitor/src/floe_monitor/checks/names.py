"""When two names of a column are one name: each engine's rule for the case of identifiers."""

from enum import StrEnum


class NameRule(StrEnum):
    """How an engine takes a name that is written without quotes."""

    EXACT = "exact"
    IGNORES_CASE = "ignores case"
    FOLDS_LOWER = "folds to lower case"
    FOLDS_UPPER = "folds to upper case"

    def matches(self, promised: str, actual: str) -> bool:
        """Whether a contract's name finds the column; the exact name always does."""
        if promised == actual:
            return True
        if self is NameRule.IGNORES_CASE:
            return promised.casefold() == actual.casefold()
        if self is NameRule.FOLDS_LOWER:
            return promised.lower() == actual
        return self is NameRule.FOLDS_UPPER and promised.upper() == actual


_RULES = {
    **dict.fromkeys(("postgres", "redshift"), NameRule.FOLDS_LOWER),
    **dict.fromkeys(("snowflake", "oracle"), NameRule.FOLDS_UPPER),
    **dict.fromkeys(
        ("athena", "bigquery", "databricks", "duckdb", "hive", "mysql", "presto", "spark", "sqlite", "trino", "tsql"),
        NameRule.IGNORES_CASE,
    ),
}


def name_rule(dialect: str) -> NameRule:
    """The rule of an engine, by its dialect as sqlglot names it; exact for one that is not known."""
    return _RULES.get(dialect, NameRule.EXACT)
