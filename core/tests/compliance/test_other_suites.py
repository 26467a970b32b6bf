"""The suites of the other kinds pass a good plugin and fail one with a defect."""

from collections.abc import Mapping

import pytest

from core.tests.compliance.inner_run import failures_by_class


@pytest.fixture(scope="module")
def failures() -> Mapping[str, set[str]]:
    return failures_by_class("other_plugins.py")


@pytest.mark.requirement("REQ-030", "CC-4.1")
@pytest.mark.parametrize("kind", ["Orchestrator", "Quality", "Alert", "Compute", "Catalog"])
def test_a_good_plugin_passes(failures: Mapping[str, set[str]], kind: str) -> None:
    assert failures[f"TestGood{kind}"] == set()


@pytest.mark.requirement("REQ-030", "CC-4.1")
@pytest.mark.parametrize(
    ("defect", "caught_by"),
    [
        ("TestForgetfulOrchestrator", "test_every_model_schedule_and_sensor_becomes_a_definition"),
        ("TestRaisingOrchestrator", "test_an_unreachable_service_is_a_result_with_a_sentence"),
        ("TestGreedyOrchestrator", "test_resources_are_quantities_with_requests_within_limits"),
        ("TestFlatteringQuality", "test_the_score_is_a_hundred_when_all_passes_and_zero_when_nothing_does"),
        ("TestRaisingAlert", "test_an_alert_that_cannot_be_delivered_is_false_and_no_exception"),
        ("TestComputeWithPassword", "test_the_dbt_profile_names_a_type_and_holds_no_credential"),
        ("TestAlwaysHealthyCompute", "test_an_engine_that_does_not_run_is_a_result_with_a_reason"),
        ("TestCatalogWithNaiveTimes", "test_a_table_is_described_with_its_columns"),
        ("TestCatalogThatInventsTables", "test_an_unknown_table_is_a_validation_error"),
        ("TestCatalogThatInventsTables", "test_an_unreachable_catalog_is_a_connection_error"),
    ],
)
def test_a_defect_is_caught(failures: Mapping[str, set[str]], defect: str, caught_by: str) -> None:
    assert caught_by in failures[defect]
