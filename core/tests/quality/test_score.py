"""The quality score: weighted by severity and dimension, 0 when nothing holds, 100 when everything does."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.tests.compliance.planted.other_plugins import GoodQuality
from floe_core.plugin_interfaces import (
    Dimension,
    DimensionWeights,
    QualityCheckResult,
    QualityConfig,
    QualityScore,
    SeverityLevel,
)

pytestmark = pytest.mark.requirement("FR-016")


def result(
    *,
    passed: bool = True,
    dimension: Dimension = Dimension.VALIDITY,
    severity: SeverityLevel = SeverityLevel.WARNING,
    checked: int = 0,
    failed: int = 0,
    error: str | None = None,
) -> QualityCheckResult:
    return QualityCheckResult(
        check_name="c",
        passed=passed,
        dimension=dimension,
        severity=severity,
        records_checked=checked,
        records_failed=failed,
        error_message=error,
    )


def score(results: Sequence[QualityCheckResult], config: QualityConfig | None = None) -> QualityScore:
    return GoodQuality().calculate_quality_score(results, config or QualityConfig())


def test_no_check_is_no_score() -> None:
    assert score([]) == QualityScore(overall=None, dimensions={}, checks_passed=0, checks_failed=0)


def test_a_failed_check_counts_the_share_of_records_that_held() -> None:
    assert score([result(passed=False, checked=200, failed=50)]).overall == pytest.approx(75.0)


def test_a_check_that_could_not_run_counts_nothing_that_held() -> None:
    assert score([result(passed=False, checked=200, failed=50, error="timeout")]).overall == 0.0


def test_a_critical_check_weighs_three_times_a_warning() -> None:
    results = [result(passed=False, severity=SeverityLevel.CRITICAL), result(passed=True)]
    assert score(results).overall == pytest.approx(25.0)


def test_dimensions_are_weighed_against_each_other() -> None:
    results = [
        result(passed=False, dimension=Dimension.COMPLETENESS),
        result(passed=True, dimension=Dimension.TIMELINESS),
    ]
    assert score(results).overall == pytest.approx(100 * 0.15 / 0.40)
    assert score(results).dimensions == {Dimension.COMPLETENESS: 0.0, Dimension.TIMELINESS: 100.0}


def test_a_dimension_that_weighs_nothing_does_not_count() -> None:
    config = QualityConfig(dimension_weights=DimensionWeights(validity=0))
    assert score([result(passed=False)], config).overall is None


results = st.lists(
    st.builds(
        result,
        passed=st.booleans(),
        dimension=st.sampled_from(Dimension),
        severity=st.sampled_from(SeverityLevel),
        checked=st.integers(0, 1000),
        failed=st.integers(0, 1200),
    ),
    min_size=1,
    max_size=12,
)


@given(results)
def test_a_score_is_between_0_and_100_and_counts_every_check(found: list[QualityCheckResult]) -> None:
    made = score(found)
    assert made.overall is not None
    assert 0 <= made.overall <= 100
    assert made.checks_passed + made.checks_failed == len(found)
    assert set(made.dimensions) == {check.dimension for check in found}


@given(results, st.integers(0, 11))
def test_a_check_that_begins_to_pass_never_lowers_the_score(found: list[QualityCheckResult], index: int) -> None:
    index %= len(found)
    better = [*found]
    better[index] = better[index].model_copy(update={"passed": True})
    before, after = score(found).overall, score(better).overall
    assert before is not None
    assert after is not None
    assert after >= before - 1e-9
