"""The suite of lineage backends passes a good plugin and fails one with a defect of each kind."""

from collections.abc import Mapping

import pytest

from core.tests.compliance.inner_run import failures_by_class

pytestmark = pytest.mark.requirement("REQ-056", "REQ-060")

HELM = "test_helm_values_fit_the_schema_of_job_values"
SENDS = "test_the_real_client_sends_an_event_with_the_transport"


@pytest.fixture(scope="module")
def failures() -> Mapping[str, set[str]]:
    return failures_by_class("lineage_plugins.py")


def test_a_good_plugin_passes(failures: Mapping[str, set[str]]) -> None:
    assert failures["TestGood"] == set()


@pytest.mark.parametrize(
    ("defect", "caught_by"),
    [
        ("TestWrongType", "test_the_transport_is_the_interfaces_model"),
        ("TestNamespaceAsText", "test_the_namespace_strategy_makes_a_namespace"),
        ("TestUnexpectedStrategy", "test_the_namespace_strategy_makes_a_namespace"),
        ("TestHardCodedKey", "test_credentials_are_references"),
        ("TestAuthenticationWithoutType", "test_authentication_has_a_shape_that_the_client_knows"),
        ("TestAuthenticationWithoutType", SENDS),
        ("TestUnknownAuthentication", SENDS),
        ("TestDoubledPath", "test_an_http_transport_has_a_url_without_the_endpoint"),
        ("TestNoUrl", "test_an_http_transport_has_a_url_without_the_endpoint"),
        ("TestPathInUrlVariable", HELM),
        ("TestReferenceBeforeDefinition", HELM),
        ("TestCollectorsReferenceInVariable", HELM),
        ("TestUnknownValue", HELM),
        ("TestOtherAddress", "test_helm_values_lead_the_real_client_to_the_same_address"),
        ("TestHardCodedVariable", "test_helm_values_hold_no_credential"),
        ("TestRaisesWhenUnreachable", "test_a_refused_connection_is_false_and_no_exception"),
        ("TestNeedsItsVariable", "test_a_missing_credential_is_false_and_no_exception"),
        ("TestLogsItsCredential", "test_the_connection_check_does_not_print_a_credential"),
    ],
)
def test_a_defect_is_caught(failures: Mapping[str, set[str]], defect: str, caught_by: str) -> None:
    assert caught_by in failures[defect]
