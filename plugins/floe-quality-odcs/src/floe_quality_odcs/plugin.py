"""The quality plugin that knows ODCS's library metrics and SQL rules."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

import pydantic
import sqlglot
from pydantic import BaseModel, ConfigDict, Field, field_validator

from floe_core.errors import ConfigurationError, ConnectionError, ExecutionError  # noqa: A004 - the interface's name
from floe_core.plugin_interfaces.quality import QualityCheck, QualityCheckResult, QualityPlugin, QualitySuite
from floe_core.plugin_interfaces.quality import QualitySuiteResult as SuiteResult
from floe_quality_odcs.compiling import statement
from floe_quality_odcs.rules import Rule, number_text

Row = tuple[Any, ...]
Query = Callable[[str], list[Row]]


@dataclass(frozen=True, slots=True)
class _Connection:
    """How a table is asked; see `QualityPlugin.run_suite`."""

    query: Query
    dialect: str
    table: tuple[str, ...]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "_Connection":
        query, dialect, table = config.get("query"), config.get("dialect"), config.get("table")
        if not callable(query) or not isinstance(dialect, str) or not table:
            raise ConfigurationError(
                "The plugin odcs was not told how to query.",
                remedy="Give `query`, a function of one statement, `dialect`, and `table`, the parts of its name.",
            )
        return cls(query, dialect, tuple(table))


@dataclass(frozen=True, slots=True)
class _Compiled:
    check: QualityCheck
    rule: Rule


class OdcsQualityConfig(BaseModel):
    """`config:` of the plugin in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    allowed_functions: frozenset[str] = Field(
        default=frozenset(),
        description="Functions of your own that SQL rules may call; the others must be known to only read",
    )

    @field_validator("allowed_functions", mode="after")
    @classmethod
    def _in_lower_case(cls, names: frozenset[str]) -> frozenset[str]:
        return frozenset(name.strip().lower() for name in names)


class OdcsQualityPlugin(QualityPlugin):
    """Counts in the source with one query per table; rows never leave it."""

    name = "odcs"
    version = "0.1.0"
    description = "ODCS quality rules, one query per table"
    config_schema: ClassVar[type[BaseModel] | None] = OdcsQualityConfig
    config: OdcsQualityConfig | None

    def run_suite(self, suite: QualitySuite, connection_config: Mapping[str, Any]) -> SuiteResult:
        """All rules by one query; if the source refuses it, each rule alone, so that only the bad ones lose.

        Raises:
            ConfigurationError: `connection_config` lacks what is needed.
            floe_core.errors.ConnectionError: The source cannot be reached.
            ExecutionError: Nothing could be counted in time.
        """
        begin = time.perf_counter()
        connection = _Connection.of(connection_config)
        results = self._results(suite, connection, begin)
        if suite.fail_fast:
            first_bad = next((index for index, result in enumerate(results) if not result.passed), len(results))
            results = results[: first_bad + 1]
        return SuiteResult(
            suite_name=suite.model_name,
            model_name=suite.model_name,
            passed=all(result.passed for result in results),
            checks=tuple(results),
            execution_time_ms=_milliseconds_since(begin),
            timestamp=datetime.now(UTC),
        )

    def run_checks(self, suite_name: str, data_source: str, options: Mapping[str, Any] | None = None) -> SuiteResult:
        """As `run_suite`, with `options["checks"]` as the suite and `options["connection_config"]`.

        Raises:
            ConfigurationError: There are no checks: this engine knows no suite by its name.
        """
        given = options or {}
        checks = given.get("checks")
        if not checks:
            raise ConfigurationError(
                f"The plugin odcs knows no suite {suite_name}: rules stand in contracts.",
                remedy='Give them as options["checks"].',
            )
        suite = QualitySuite(model_name=data_source, checks=tuple(checks))
        result = self.run_suite(suite, given.get("connection_config") or {})
        return result.model_copy(update={"suite_name": suite_name})

    def validate_expectations(
        self,
        data_source: str,
        expectations: Sequence[Mapping[str, Any]],
        connection_config: Mapping[str, Any] | None = None,
    ) -> list[QualityCheckResult]:
        """Runs rules that are given as `QualityCheck.parameters` carries them.

        Raises:
            ConfigurationError: `connection_config` lacks what is needed.
        """
        checks = tuple(
            QualityCheck(
                name=str(expectation.get("name") or f"rule {number}"),
                type=str(expectation.get("metric") or ""),
                parameters={key: value for key, value in expectation.items() if key != "name"},
            )
            for number, expectation in enumerate(expectations, start=1)
        )
        suite = QualitySuite(model_name=data_source, checks=checks)
        return list(self.run_suite(suite, connection_config or {}).checks)

    def list_suites(self) -> list[str]:
        """None: rules stand in contracts."""
        return []

    def supports_dialect(self, dialect: str) -> bool:
        """Whatever sqlglot can write."""
        return bool(dialect) and sqlglot.Dialect.get(dialect) is not None

    def _results(self, suite: QualitySuite, connection: _Connection, begin: float) -> list[QualityCheckResult]:
        compiled: list[_Compiled] = []
        refused: dict[int, QualityCheckResult] = {}
        checks = [check for check in suite.checks if check.enabled]
        for index, check in enumerate(checks):
            try:
                rule = Rule.model_validate(check.parameters)
                self._statement([rule], connection)
                compiled.append(_Compiled(check, rule))
            except pydantic.ValidationError as error:
                refused[index] = _refused(check, error.errors(include_url=False, include_input=False)[0]["msg"])
            except ConfigurationError as error:
                refused[index] = _refused(check, f"{error.what} {error.remedy or ''}".strip())
        measured = iter(self._measured(compiled, connection, begin, suite.timeout_seconds) if compiled else [])
        return [refused[index] if index in refused else next(measured) for index in range(len(checks))]

    def _measured(
        self, compiled: Sequence[_Compiled], connection: _Connection, begin: float, timeout_seconds: float
    ) -> list[QualityCheckResult]:
        try:
            return self._ask(compiled, connection)
        except ConnectionError:
            raise
        except ExecutionError as error:
            # One rule's fault is told as that rule's; but what has used up its time is not asked again rule by rule.
            if len(compiled) == 1:
                return [_refused(compiled[0].check, error.what)]
            if time.perf_counter() - begin > timeout_seconds / 2:
                raise
        results: list[QualityCheckResult] = []
        for one in compiled:
            if time.perf_counter() - begin > timeout_seconds:
                results.append(_refused(one.check, "There was no time left to count it alone."))
                continue
            try:
                results += self._ask([one], connection)
            except ConnectionError:
                raise
            except ExecutionError as error:
                results.append(_refused(one.check, error.what))
        return results

    def _ask(self, compiled: Sequence[_Compiled], connection: _Connection) -> list[QualityCheckResult]:
        begin = time.perf_counter()
        rows = connection.query(self._statement([one.rule for one in compiled], connection))
        if len(rows) != 1 or len(rows[0]) != len(compiled) + 1:
            raise ExecutionError("The source did not answer with one row of numbers.")
        total, *counted = rows[0]
        each = _milliseconds_since(begin) / len(compiled)
        return [_judged(one, value, int(total), each) for one, value in zip(compiled, counted, strict=True)]

    def _statement(self, rules: Sequence[Rule], connection: _Connection) -> str:
        allowed = self.config.allowed_functions if self.config else ()
        return statement(rules, connection.table, connection.dialect, allowed)


def _judged(one: _Compiled, value: object, rows: int, milliseconds: float) -> QualityCheckResult:
    check, rule = one.check, one.rule
    number = _number(value)
    if number is None:
        # What it gave is not repeated: it may be a value out of a row.
        return _refused(check, f"The query gave {type(value).__name__}, not a number.")
    measured = rule.measure(number, rows)
    bad_rows = int(number) if rule.metric.counts_bad_rows else 0
    return QualityCheckResult(
        check_name=check.name,
        passed=rule.holds(measured),
        dimension=check.dimension,
        severity=check.severity,
        records_checked=rows if rule.metric.counts_bad_rows else 0,
        records_failed=bad_rows,
        execution_time_ms=milliseconds,
        details={
            "measured": float(measured),
            "expected": rule.expected,
            "actual": number_text(measured) + (" percent" if rule.unit == "percent" else ""),
            "rows": rows,
        }
        | ({"column": check.column} if check.column else {}),
    )


def _number(value: object) -> Decimal | None:
    if not isinstance(value, (bool, int, float, Decimal)):
        return None
    try:
        number = Decimal(str(int(value) if isinstance(value, bool) else value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _refused(check: QualityCheck, reason: str) -> QualityCheckResult:
    return QualityCheckResult(
        check_name=check.name, passed=False, dimension=check.dimension, severity=check.severity, error_message=reason
    )


def _milliseconds_since(begin: float) -> float:
    return (time.perf_counter() - begin) * 1000
