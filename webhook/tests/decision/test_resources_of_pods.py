"""What a whole pod asks for: KEP-753's sums."""

from fractions import Fraction
from typing import Any

import pytest

from floe_webhook.pod_resources import LIMITS, REQUESTS, has_resources_of_its_own, is_best_effort, of_pod

pytestmark = pytest.mark.requirement("FP-18")


def asks(cpu: str | None = None, *, always: bool = False, limit: str | None = None) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    if cpu is not None:
        resources["requests"] = {"cpu": cpu}
    if limit is not None:
        resources["limits"] = {"cpu": limit}
    return {"resources": resources} | ({"restartPolicy": "Always"} if always else {})


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        pytest.param({"containers": [asks("1"), asks("500m")]}, "3/2", id="containers are added"),
        pytest.param({"containers": [asks("1")], "initContainers": [asks("500m")]}, "1", id="a modest init container"),
        pytest.param({"containers": [asks("1")], "initContainers": [asks("3")]}, "3", id="a hungry init container"),
        pytest.param(
            {"containers": [asks("1")], "initContainers": [asks("3"), asks("2")]}, "3", id="init containers in turn"
        ),
        pytest.param(
            {"containers": [asks("1")], "initContainers": [asks("1", always=True)]}, "2", id="a native sidecar is added"
        ),
        pytest.param(
            {"containers": [asks("1")], "initContainers": [asks("1", always=True), asks("3")]},
            "4",
            id="an init container beside the sidecar before it",
        ),
        pytest.param(
            {"containers": [asks("1")], "initContainers": [asks("3"), asks("1", always=True)]},
            "3",
            id="an init container before the sidecar",
        ),
        pytest.param({"containers": [asks(limit="2")]}, "2", id="a limit alone is the request too"),
        pytest.param({"containers": [asks("1")], "resources": {"requests": {"cpu": "5"}}}, "5", id="the pod's own"),
        pytest.param({"containers": [asks("1")], "overhead": {"cpu": "250m"}}, "5/4", id="a runtime class's overhead"),
    ],
)
def test_a_pod_asks_for(spec: dict[str, Any], cpu: str) -> None:
    assert of_pod(spec, REQUESTS, overhead=True) == {"cpu": Fraction(cpu)}


def test_overhead_adds_to_a_limit_only_where_there_is_one() -> None:
    spec = {"containers": [asks("1")], "overhead": {"cpu": "250m"}}
    assert of_pod(spec, LIMITS, overhead=True) == {}
    assert of_pod({**spec, "containers": [asks("1", limit="2")]}, LIMITS, overhead=True) == {"cpu": Fraction(9, 4)}
    assert of_pod({**spec, "containers": [asks("1", limit="2")]}, LIMITS, overhead=False) == {"cpu": Fraction(2)}


@pytest.mark.parametrize(
    ("spec", "answer"),
    [
        pytest.param({"containers": [asks()]}, True, id="nothing is asked for"),
        pytest.param({"containers": [asks("0")]}, True, id="nothing, in a number"),
        pytest.param({"containers": [asks("1")]}, False, id="a request"),
        pytest.param(
            {"containers": [asks()], "initContainers": [asks(limit="1")]}, False, id="an init container's limit"
        ),
        pytest.param({"containers": [asks()], "resources": {"limits": {"cpu": "1"}}}, False, id="the pod's own limit"),
    ],
)
def test_a_pod_is_best_effort(spec: dict[str, Any], answer: bool) -> None:
    assert is_best_effort(spec) is answer


def test_resources_of_another_kind_are_not_the_pods_own() -> None:
    assert not has_resources_of_its_own({"resources": {"requests": {"nvidia.com/gpu": "1"}}})
    assert has_resources_of_its_own({"resources": {"requests": {"memory": "1Gi"}}})


@pytest.mark.parametrize(
    "broken", [None, [], "text", [None], [{"resources": []}], [{"resources": {"requests": {"cpu": []}}}]]
)
def test_a_pod_of_a_strange_shape_asks_for_nothing(broken: object) -> None:
    spec: dict[str, Any] = {"containers": broken, "initContainers": broken, "resources": broken, "overhead": broken}
    assert of_pod(spec, REQUESTS, overhead=True) == {}
    assert is_best_effort(spec)
