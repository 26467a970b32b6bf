"""Parts of the lineage namespace, the whole of it, and the account of where they come from."""

from typing import Any

import pytest

from floe_webhook.explanation import explain
from floe_webhook.profile import Profile
from floe_webhook.reasons import Reason
from webhook.tests.builders import PROFILE, Pod, injected, pod, profile

pytestmark = pytest.mark.requirement("HOUSE-9")

CENTRALIZED: dict[str, Any] = {"strategy": "centralized", "organization": "acme", "domain": "core"}


def variables(document: Pod, by: Profile = PROFILE) -> dict[str, tuple[str, str]]:
    """Value and source by name."""
    (only,) = injected(document, by=by).plan.containers
    return {variable.name: (variable.shown, variable.source) for variable in only.environment.variables}


def test_a_pod_chooses_parts_that_the_platform_leaves_to_it() -> None:
    by = profile(
        namespaces=CENTRALIZED,
        injection={"overrides": {"allowed": ["product", "domain", "organization", "environment"]}},
    )
    annotations = {"floe.dev/organization": "other", "floe.dev/domain": "sales", "floe.dev/environment": "staging"}
    found = variables(pod(annotations=annotations), by)
    assert found["OPENLINEAGE_NAMESPACE"] == (
        "other/sales/load-orders",
        "namespaces and the annotation floe.dev/organization, floe.dev/domain",
    )
    assert "deployment.environment.name=staging" in found["OTEL_RESOURCE_ATTRIBUTES"][0]


def test_a_part_that_the_platform_keeps_stays_as_it_is() -> None:
    document = pod(annotations={"floe.dev/organization": "other"})
    by = profile(namespaces=CENTRALIZED)
    assert variables(document, by)["OPENLINEAGE_NAMESPACE"] == ("acme/core/load-orders", "namespaces")
    assert injected(document, by=by).plan.decision.reasons == (Reason.ANNOTATION_FORBIDDEN,)


def test_a_pod_chooses_its_whole_namespace_within_the_platforms_patterns() -> None:
    by = profile(injection={"overrides": {"lineage_namespaces": ["{namespace}/*"]}})
    found = variables(pod(annotations={"floe.dev/lineage-namespace": "sales/nightly"}), by)
    assert found["OPENLINEAGE_NAMESPACE"] == ("sales/nightly", "the annotation floe.dev/lineage-namespace")
    assert '"namespace":"sales/nightly"' in found["OPENLINEAGE_CONTEXT"][0]
    other = pod(annotations={"floe.dev/lineage-namespace": "finance/nightly"})
    assert variables(other, by)["OPENLINEAGE_NAMESPACE"] == ("single-tenant/load-orders", "namespaces")
    assert injected(other, by=by).plan.decision.reasons == (Reason.ANNOTATION_FORBIDDEN,)


def test_a_resource_attribute_annotation_has_the_last_word_on_the_environment() -> None:
    annotations = {
        "floe.dev/environment": "staging",
        "resource.opentelemetry.io/deployment.environment.name": "canary",
    }
    found = variables(pod(annotations=annotations))["OTEL_RESOURCE_ATTRIBUTES"][0]
    assert "deployment.environment.name=canary" in found
    assert "staging" not in found


@pytest.mark.requirement("HOUSE-2")
def test_the_account_of_a_pod_names_the_annotations_that_count_and_those_that_do_not() -> None:
    annotations = {"floe.dev/product": "orders", "floe.dev/domain": "a b", "floe.dev/tenant": "acme", "note": "x"}
    lines = list(explain("Pod/load-orders", injected(pod(annotations=annotations)).plan))
    assert [line.strip() for line in lines if "annotation floe.dev" in line] == [
        "annotation floe.dev/product: orders",
        "annotation floe.dev/domain does not count [annotation_invalid]",
        "annotation floe.dev/tenant does not count [annotation_forbidden]",
        "from namespaces and the annotation floe.dev/product",
    ]
    codes = [line.strip().split("]")[0] for line in lines if line.startswith("  [")]
    assert codes == ["[annotation_invalid", "[annotation_forbidden"]


@pytest.mark.requirement("HOUSE-2")
def test_the_account_of_a_pod_that_is_left_alone_names_its_annotations_too() -> None:
    document = pod(labels={"floe.dev/inject": "false"}, annotations={"floe.dev/containers": "app;b"})
    lines = list(explain("Pod/load-orders", injected(document).plan))
    assert "  annotation floe.dev/containers does not count [annotation_invalid]" in lines
