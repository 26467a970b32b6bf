"""What is kept from one pod to the next changes no answer, and no client makes it grow."""

from typing import Any

import pytest
from hypothesis import given

from floe_webhook.environment import _usual
from floe_webhook.planning import _shared_of_workload
from webhook.tests.builders import PROFILE, container, injected, pod, profile
from webhook.tests.strategies import pods

pytestmark = pytest.mark.requirement("BUDGET-3")

# Who knows keys of a ConfigMap has everything made anew.
KNOWS_SOMETHING: Any = {("configMapRef", "of-nobody"): frozenset({"A"})}


@pytest.mark.requirement("INV-10", "BUDGET-2")
@given(pods())
def test_a_pod_of_a_known_workload_gets_what_one_of_an_unknown_workload_gets(document: dict[str, Any]) -> None:
    anew = injected(document, known_keys=KNOWS_SOMETHING)
    assert injected(document).patch == injected(document).patch == anew.patch


@pytest.mark.requirement("INV-10")
def test_what_one_manifest_made_is_not_taken_for_anothers() -> None:
    document = pod(container("app"))
    other = profile(namespaces={"environment": "staging"})
    assert "deployment.environment.name=staging" in injected(document, by=other).patch
    assert "deployment.environment.name" not in injected(document, by=PROFILE).patch


def test_a_pod_with_metadata_of_unusual_length_is_injected_and_not_kept() -> None:
    before = _shared_of_workload.cache_info().currsize
    assert injected(pod(annotations={"note": "x" * 5000})).patch
    assert _shared_of_workload.cache_info().currsize == before


def test_a_container_with_an_image_of_unusual_length_is_told_its_version_and_not_kept() -> None:
    before = _usual.cache_info().currsize
    assert f"service.version={'1' * 600}" in injected(pod(container(image=f"app:{'1' * 600}"))).patch
    assert _usual.cache_info().currsize == before


def test_ever_new_workloads_push_out_the_oldest() -> None:
    for number in range(1100):
        injected(pod(container(f"c{number}"), name=f"pod-{number}"))
    for kept in (_shared_of_workload.cache_info(), _usual.cache_info()):
        assert kept.maxsize is not None
        assert kept.currsize <= kept.maxsize <= 1024
