"""The suite of telemetry backends passes a good plugin and fails one with a defect of each kind."""

from collections.abc import Mapping

import pytest

from core.tests.compliance.inner_run import failures_by_class

pytestmark = pytest.mark.requirement("REQ-051", "REQ-055")

HELM = "test_helm_values_are_accepted_by_the_collectors_chart"


@pytest.fixture(scope="module")
def failures() -> Mapping[str, set[str]]:
    return failures_by_class("telemetry_plugins.py")


def test_a_good_plugin_passes(failures: Mapping[str, set[str]]) -> None:
    assert failures["TestGood"] == set()


@pytest.mark.parametrize(
    ("defect", "caught_by"),
    [
        ("TestWrongType", "test_the_exporter_config_is_the_interfaces_model"),
        ("TestHardCodedHeader", "test_credentials_are_references"),
        ("TestHardCodedInHelmValues", "test_helm_values_hold_no_credential"),
        ("TestResolvesItsCredential", "test_credentials_are_references"),
        ("TestSecretInRepr", "test_its_own_text_holds_no_credential"),
        ("TestRaisesWhenUnreachable", "test_a_refused_connection_is_false_and_no_exception"),
        ("TestAlwaysReachable", "test_a_refused_connection_is_false_and_no_exception"),
        ("TestPrintsItsCredential", "test_the_connection_check_does_not_print_a_credential"),
        ("TestUrlForGrpc", "test_the_endpoint_has_the_protocols_shape"),
        ("TestUpperCaseHeader", "test_header_names_are_lower_case"),
        ("TestRetiredExporter", HELM),
        ("TestMistypedExporterField", HELM),
        ("TestUndefinedExporter", HELM),
        ("TestUndefinedAuthenticator", HELM),
        ("TestNoHealthCheck", HELM),
        ("TestUnknownChartValue", HELM),
        ("TestExportsElsewhere", "test_helm_values_export_to_the_configured_backend"),
        ("TestLooseConfiguration", "test_its_configuration_is_a_model_that_refuses_unknown_keys"),
        ("TestFutureInterfaces", "test_it_says_who_it_is_and_for_which_interfaces"),
        ("TestTalksWhileConstructed", "test_constructing_it_does_not_touch_the_network"),
        ("TestForgetsAParameter", "test_its_methods_can_be_called_as_the_interface_says"),
    ],
)
def test_a_defect_is_caught(failures: Mapping[str, set[str]], defect: str, caught_by: str) -> None:
    assert caught_by in failures[defect]
