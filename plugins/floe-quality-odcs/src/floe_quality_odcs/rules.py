"""What an ODCS rule counts, and when it holds (ODCS 3.1, data quality: metrics, operators, units).

| metric          | counts                                                                                     |
|-----------------|--------------------------------------------------------------------------------------------|
| nullValues      | rows in which the column is null                                                           |
| missingValues   | rows whose value is one of `arguments.missingValues`; by default null and the empty text   |
| invalidValues   | rows with a value that is not in `validValues` or does not match `pattern`; null is neither |
| duplicateValues | rows beyond the first one of each value; several columns count together, null never does   |
| rowCount        | rows                                                                                       |
| sql             | whatever the rule's own query gives: one number                                            |

`percent` relates a count to the rows of the table; an empty table has 0 percent of everything. `mustBeBetween` includes
both ends: the standard's text excludes them, its tools and most people include them.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

# Strict, or 0 and 1 would be read as false and true.
Value = str | StrictBool | Decimal | None


class Metric(StrEnum):
    """What is counted."""

    NULL_VALUES = "nullValues"
    MISSING_VALUES = "missingValues"
    INVALID_VALUES = "invalidValues"
    DUPLICATE_VALUES = "duplicateValues"
    ROW_COUNT = "rowCount"
    SQL = "sql"

    @property
    def counts_bad_rows(self) -> bool:
        """Whether the count is of rows that should not be there."""
        return self not in {Metric.ROW_COUNT, Metric.SQL}


class Operator(StrEnum):
    """How the measured number is compared."""

    MUST_BE = "mustBe"
    MUST_NOT_BE = "mustNotBe"
    GREATER = "mustBeGreaterThan"
    GREATER_OR_EQUAL = "mustBeGreaterOrEqualTo"
    LESS = "mustBeLessThan"
    LESS_OR_EQUAL = "mustBeLessOrEqualTo"
    BETWEEN = "mustBeBetween"
    NOT_BETWEEN = "mustNotBeBetween"


_WORDS = {
    Operator.MUST_BE: "exactly {}",
    Operator.MUST_NOT_BE: "not {}",
    Operator.GREATER: "more than {}",
    Operator.GREATER_OR_EQUAL: "at least {}",
    Operator.LESS: "less than {}",
    Operator.LESS_OR_EQUAL: "at most {}",
    Operator.BETWEEN: "{} to {}",
    Operator.NOT_BETWEEN: "not {} to {}",
}


class Rule(BaseModel):
    """A rule in ODCS's words, as `QualityCheck.parameters` carries them."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    metric: Metric
    operator: Operator
    bound: tuple[Decimal, ...] = Field(min_length=1, max_length=2)
    unit: Literal["rows", "percent"] = "rows"
    columns: tuple[str, ...] = ()
    missing_values: tuple[Value, ...] = (None, "")
    valid_values: tuple[Value, ...] = ()
    pattern: str | None = None
    query: str | None = None

    @model_validator(mode="after")
    def _is_complete(self) -> "Rule":
        ends = 2 if self.operator in {Operator.BETWEEN, Operator.NOT_BETWEEN} else 1
        if len(self.bound) != ends:
            raise ValueError(f"{self.operator} takes {ends} number{'s' if ends > 1 else ''}")
        if self.metric.counts_bad_rows and not self.columns:
            raise ValueError(f"{self.metric} needs a column")
        if self.metric is Metric.INVALID_VALUES and not self.valid_values and self.pattern is None:
            raise ValueError("invalidValues needs validValues or pattern")
        if self.metric is Metric.SQL and not self.query:
            raise ValueError("sql needs a query")
        return self

    def measure(self, counted: Decimal, rows: int) -> Decimal:
        """The number that is compared: the count itself, or its share of the rows in percent."""
        if self.unit == "percent" and self.metric is not Metric.SQL:
            return counted * 100 / rows if rows else Decimal(0)
        return counted

    def holds(self, measured: Decimal) -> bool:
        """Whether the number is as promised."""
        first, last = self.bound[0], self.bound[-1]
        return {
            Operator.MUST_BE: measured == first,
            Operator.MUST_NOT_BE: measured != first,
            Operator.GREATER: measured > first,
            Operator.GREATER_OR_EQUAL: measured >= first,
            Operator.LESS: measured < first,
            Operator.LESS_OR_EQUAL: measured <= first,
            Operator.BETWEEN: first <= measured <= last,
            Operator.NOT_BETWEEN: not first <= measured <= last,
        }[self.operator]

    @property
    def expected(self) -> str:
        """The promise in words: `at most 5 percent`."""
        unit = {"percent": " percent", "rows": " rows"}[self.unit] if self.metric is not Metric.SQL else ""
        return _WORDS[self.operator].format(*(number_text(bound) for bound in self.bound)) + unit


def number_text(number: Decimal) -> str:
    """A number as people write it, at most four digits after the point."""
    text = f"{number:.4f}".rstrip("0").rstrip(".")
    return text if text not in {"", "-0"} else "0"
