"""The interface of quality engines and the score that the monitor keeps (FR-015 to FR-018).

The score is ours and the same for every engine, so `calculate_quality_score` is concrete; engines only run checks.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from pydantic import AwareDatetime, Field

from floe_core.plugin_interfaces.metadata import Frozen, PluginMetadata, ValidationResult


class Dimension(StrEnum):
    """What a check says about data."""

    COMPLETENESS = "completeness"
    ACCURACY = "accuracy"
    VALIDITY = "validity"
    CONSISTENCY = "consistency"
    TIMELINESS = "timeliness"


class SeverityLevel(StrEnum):
    """How much a check weighs in the score."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class DimensionWeights(Frozen):
    """Share of each dimension in the score; what counts is the proportion between them."""

    completeness: float = Field(default=0.25, ge=0)
    accuracy: float = Field(default=0.25, ge=0)
    validity: float = Field(default=0.20, ge=0)
    consistency: float = Field(default=0.15, ge=0)
    timeliness: float = Field(default=0.15, ge=0)


class SeverityWeights(Frozen):
    """Weight of one check within its dimension."""

    critical: float = Field(default=3.0, gt=0)
    warning: float = Field(default=1.0, gt=0)
    info: float = Field(default=0.5, gt=0)


class QualityConfig(Frozen):
    """How quality is judged."""

    provider: str = ""
    dimension_weights: DimensionWeights = DimensionWeights()
    severity_weights: SeverityWeights = SeverityWeights()
    min_score: float = Field(default=70.0, ge=0, le=100, description="Below it the data is not good enough")
    warn_score: float = Field(default=85.0, ge=0, le=100, description="Below it somebody should look")
    check_timeout_seconds: float = Field(default=300.0, gt=0)


class QualityCheck(Frozen):
    """One expectation about a table or column."""

    name: str
    type: str = Field(description="The engine's word for the expectation, e.g. not_null")
    column: str | None = None
    dimension: Dimension = Dimension.VALIDITY
    severity: SeverityLevel = SeverityLevel.WARNING
    parameters: dict[str, Any] = Field(default_factory=dict)
    enabled: bool = True


class QualitySuite(Frozen):
    """Checks of one model that run together."""

    model_name: str
    checks: tuple[QualityCheck, ...]
    timeout_seconds: float = Field(default=300.0, gt=0)
    fail_fast: bool = Field(default=False, description="Stop at the first check that does not pass")


class QualityCheckResult(Frozen):
    """What one check found: counts, never values of the data (FR-025)."""

    check_name: str
    passed: bool
    dimension: Dimension
    severity: SeverityLevel
    records_checked: int = Field(default=0, ge=0)
    records_failed: int = Field(default=0, ge=0)
    execution_time_ms: float = Field(default=0.0, ge=0)
    details: dict[str, Any] = Field(default_factory=dict)
    error_message: str | None = Field(default=None, description="Why the check could not run; then it did not pass")


class QualitySuiteResult(Frozen):
    """What a suite found."""

    suite_name: str
    model_name: str
    passed: bool
    checks: tuple[QualityCheckResult, ...]
    execution_time_ms: float = Field(default=0.0, ge=0)
    summary: dict[str, Any] = Field(default_factory=dict)
    timestamp: AwareDatetime


class QualityScore(Frozen):
    """A score of 0 (nothing holds) to 100 (everything holds); None where no check ran."""

    overall: float | None = Field(ge=0, le=100)
    dimensions: dict[Dimension, float] = Field(description="Score of each dimension that has checks")
    checks_passed: int = Field(ge=0)
    checks_failed: int = Field(ge=0)


class QualityPlugin(PluginMetadata):
    """Runs expectations against data (entry points: `floe.quality`). All methods block; callers run them in threads."""

    @abstractmethod
    def run_checks(
        self, suite_name: str, data_source: str, options: Mapping[str, Any] | None = None
    ) -> QualitySuiteResult:
        """Runs a suite that the engine knows by name."""

    @abstractmethod
    def run_suite(self, suite: QualitySuite, connection_config: Mapping[str, Any]) -> QualitySuiteResult:
        """Runs a suite within `suite.timeout_seconds`; a check that cannot run is a result with `error_message`.

        Args:
            suite: The checks; those that are not enabled are left out.
            connection_config: How the data is reached. The monitor gives `query` (a function that takes one read-only
                statement and gives its rows), `dialect` (as sqlglot names it) and `table` (the parts of its name,
                outermost first); an engine with connections of its own may need other keys.
        """

    @abstractmethod
    def validate_expectations(
        self,
        data_source: str,
        expectations: Sequence[Mapping[str, Any]],
        connection_config: Mapping[str, Any] | None = None,
    ) -> list[QualityCheckResult]:
        """Runs expectations given in the engine's own words, one result each, in order."""

    @abstractmethod
    def list_suites(self) -> list[str]:
        """Names of the suites that the engine knows."""

    @abstractmethod
    def supports_dialect(self, dialect: str) -> bool:
        """Whether the engine can query a SQL dialect, as sqlglot names it."""

    def validate_config(self, config: QualityConfig) -> ValidationResult:  # noqa: ARG002 - part of the interface
        """Whether the engine can work with this configuration."""
        return ValidationResult(success=True)

    def calculate_quality_score(self, results: Sequence[QualityCheckResult], config: QualityConfig) -> QualityScore:
        """The weighted score of check results.

            dimension score = 100 × Σ severity weight × share / Σ severity weight
            overall score   = Σ dimension weight × dimension score / Σ dimension weight

        over the dimensions that have checks: a dimension without checks is left out, it counts neither as good nor
        as bad. A check's share is 1 if it passed, else the part of its records that held, and 0 where no records
        were counted or the check could not run. Everything failing in full scores 0, everything passing 100.
        """
        by_dimension = {
            dimension: [result for result in results if result.dimension is dimension] for dimension in Dimension
        }
        scores = {
            dimension: _dimension_score(found, config.severity_weights)
            for dimension, found in by_dimension.items()
            if found
        }
        passed = sum(result.passed for result in results)
        return QualityScore(
            overall=_overall(scores, config.dimension_weights),
            dimensions=scores,
            checks_passed=passed,
            checks_failed=len(results) - passed,
        )

    def get_quality_facets(self, results: Sequence[QualityCheckResult]) -> dict[str, Any]:
        """The body of OpenLineage's `dataQualityAssertions` dataset facet; its emitter adds producer and schema."""
        return {
            "assertions": [
                {"assertion": result.check_name, "success": result.passed}
                | ({"column": column} if isinstance(column := result.details.get("column"), str) else {})
                for result in results
            ]
        }


def _dimension_score(results: Sequence[QualityCheckResult], weights: SeverityWeights) -> float:
    weighed = [(float(getattr(weights, result.severity)), _share(result)) for result in results]
    return 100.0 * sum(weight * share for weight, share in weighed) / sum(weight for weight, _ in weighed)


def _share(result: QualityCheckResult) -> float:
    if result.passed:
        return 1.0
    if result.error_message is not None or result.records_checked == 0:
        return 0.0
    return max(0.0, 1.0 - result.records_failed / result.records_checked)


def _overall(scores: Mapping[Dimension, float], weights: DimensionWeights) -> float | None:
    total = sum(float(getattr(weights, dimension)) for dimension in scores)
    if total == 0:
        return None
    overall = sum(float(getattr(weights, dimension)) * score for dimension, score in scores.items()) / total
    return min(100.0, max(0.0, overall))  # a sum of floats may end a hair outside
