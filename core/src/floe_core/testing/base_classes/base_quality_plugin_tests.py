"""What every quality plugin must satisfy (FR-015, FR-016)."""

import pytest

from floe_core.plugin_interfaces import (
    Dimension,
    QualityCheckResult,
    QualityConfig,
    QualityPlugin,
    SeverityLevel,
    ValidationResult,
)
from floe_core.testing.base_classes.base_plugin_tests import BasePluginTests


def _result(*, passed: bool, dimension: Dimension) -> QualityCheckResult:
    return QualityCheckResult(
        check_name="not_null", passed=passed, dimension=dimension, severity=SeverityLevel.CRITICAL
    )


class BaseQualityPluginTests(BasePluginTests):
    """Suites, dialects and the score of a quality engine."""

    @pytest.fixture
    def plugin(self) -> QualityPlugin:
        """The plugin under test, configured as in a manifest. Override it."""
        raise NotImplementedError("override the fixture `plugin` and return your configured plugin")

    @pytest.mark.requirement("FR-015")
    def test_it_lists_suites_and_knows_dialects(self, plugin: QualityPlugin) -> None:
        assert all(isinstance(suite, str) for suite in plugin.list_suites())
        assert plugin.supports_dialect("a dialect that nobody speaks") is False

    @pytest.mark.requirement("FR-015")
    def test_the_default_configuration_is_accepted(self, plugin: QualityPlugin) -> None:
        result = plugin.validate_config(QualityConfig())
        assert isinstance(result, ValidationResult)
        assert result.success, result.message

    @pytest.mark.requirement("FR-016")
    def test_the_score_is_a_hundred_when_all_passes_and_zero_when_nothing_does(self, plugin: QualityPlugin) -> None:
        for passed, expected in ((True, 100.0), (False, 0.0)):
            results = [_result(passed=passed, dimension=dimension) for dimension in Dimension]
            assert plugin.calculate_quality_score(results, QualityConfig()).overall == pytest.approx(expected)

    @pytest.mark.requirement("FR-016")
    def test_a_dimension_without_checks_is_left_out_of_the_score(self, plugin: QualityPlugin) -> None:
        score = plugin.calculate_quality_score([_result(passed=False, dimension=Dimension.VALIDITY)], QualityConfig())
        assert score.overall == 0.0
        assert list(score.dimensions) == [Dimension.VALIDITY]
