"""Whether quotas and limit ranges let a pod have the sidecar; the API server's own word is asked end to end."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_webhook.decision import Outcome
from floe_webhook.namespace_limits import NamespaceLimits, limits_of, refusal
from floe_webhook.reasons import Reason
from webhook.tests.builders import container, injected, pod

pytestmark = pytest.mark.requirement("FP-18", "HOUSE-3")

SIDECAR = {
    "name": "floe-sidecar",
    "restartPolicy": "Always",
    "resources": {"requests": {"cpu": "10m", "memory": "48Mi"}, "limits": {"cpu": "250m", "memory": "64Mi"}},
}


def quota(hard: Mapping[str, str], used: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"spec": {"hard": dict(hard), **spec}, "status": {"hard": dict(hard), "used": dict(used or {})}}


def limit_range(kind: str = "Container", **bounds: Mapping[str, str]) -> dict[str, Any]:
    return {"spec": {"limits": [{"type": kind, **bounds}]}}


def spec_of(
    requests: Mapping[str, str] | None = None, limits: Mapping[str, str] | None = None, **more: Any
) -> dict[str, Any]:
    resources = {"requests": dict(requests or {}), "limits": dict(limits or {})}
    return {"containers": [{"name": "app", "resources": resources}], **more}


def refused(
    *quotas: Mapping[str, Any], ranges: Sequence[Mapping[str, Any]] = (), spec: dict[str, Any] | None = None
) -> Reason | None:
    return refusal(spec if spec is not None else spec_of({"cpu": "1"}), SIDECAR, limits_of(quotas, ranges))


@pytest.mark.parametrize(
    ("hard", "used", "reason"),
    [
        pytest.param({"requests.cpu": "1010m"}, {}, None, id="exactly enough"),
        pytest.param({"requests.cpu": "1009m"}, {}, Reason.QUOTA_EXCEEDED, id="a thousandth too little"),
        pytest.param({"cpu": "2"}, {"cpu": "995m"}, Reason.QUOTA_EXCEEDED, id="others use the rest"),
        pytest.param({"cpu": "2"}, {"cpu": "990m"}, None, id="others leave enough"),
        pytest.param({"pods": "0", "count/pods": "0", "secrets": "0"}, {}, None, id="numbers of objects"),
        pytest.param({"requests.nvidia.com/gpu": "0"}, {}, None, id="extended resources"),
        pytest.param({"limits.cpu": "10"}, {}, Reason.QUOTA_EXCEEDED, id="limits that the application does not name"),
        pytest.param({"requests.memory": "1Gi"}, {}, Reason.QUOTA_EXCEEDED, id="requests that it does not name"),
        pytest.param({"requests.ephemeral-storage": "0"}, {}, None, id="what neither of them asks for"),
    ],
)
def test_a_quota_lets_the_sidecar_in_by_what_it_has_left(
    hard: dict[str, str], used: dict[str, str], reason: Reason | None
) -> None:
    assert refused(quota(hard, used)) == reason


def test_a_quota_that_wants_limits_everywhere_is_content_with_ours() -> None:
    whole = spec_of({"cpu": "1", "memory": "1Gi"}, {"cpu": "1", "memory": "1Gi"})
    hard = {"limits.cpu": "1250m", "limits.memory": "1088Mi", "requests.cpu": "1010m", "requests.memory": "1072Mi"}
    assert refused(quota(hard), spec=whole) is None
    for name in hard:
        assert refused(quota(hard, {name: "1"}), spec=whole) == Reason.QUOTA_EXCEEDED


def test_the_sidecar_may_cost_nothing_beside_a_hungry_init_container_before_the_application() -> None:
    hungry = {"name": "init", "resources": {"requests": {"cpu": "3"}}}
    whole = spec_of({"cpu": "1"}, initContainers=[hungry])
    assert refused(quota({"cpu": "3010m"}), spec=whole) is None
    assert refused(quota({"cpu": "3009m"}), spec=whole) == Reason.QUOTA_EXCEEDED


def test_a_pod_with_resources_of_its_own_is_not_asked_for_those_of_its_containers() -> None:
    whole = spec_of(resources={"requests": {"cpu": "1"}, "limits": {"cpu": "1"}})
    hard = limits_of([quota({"cpu": "1", "limits.memory": "1Gi"})], [])
    assert refusal(whole, {"name": "floe-sidecar", "restartPolicy": "Always"}, hard) is None


@pytest.mark.parametrize(
    ("scope", "spec", "counts"),
    [
        pytest.param({"scopes": ["Terminating"]}, spec_of({"cpu": "1"}), False, id="a pod without a deadline"),
        pytest.param(
            {"scopes": ["Terminating"]},
            spec_of({"cpu": "1"}, activeDeadlineSeconds=9),
            True,
            id="a pod with a deadline",
        ),
        pytest.param(
            {"scopes": ["NotTerminating"]},
            spec_of({"cpu": "1"}, activeDeadlineSeconds=9),
            False,
            id="for those without",
        ),
        pytest.param({"scopes": ["BestEffort"]}, spec_of(), False, id="a best-effort pod is none with the sidecar"),
        pytest.param({"scopes": ["NotBestEffort"]}, spec_of(), True, id="and is counted by the others' quota then"),
        pytest.param(
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                }
            },
            spec_of({"cpu": "1"}, priorityClassName="high"),
            True,
            id="of that priority",
        ),
        pytest.param(
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]
                }
            },
            spec_of({"cpu": "1"}, priorityClassName="low"),
            False,
            id="of another priority",
        ),
        pytest.param(
            {
                "scopeSelector": {
                    "matchExpressions": [{"scopeName": "PriorityClass", "operator": "NotIn", "values": ["x"]}]
                }
            },
            spec_of({"cpu": "1"}),
            True,
            id="of no such priority",
        ),
        pytest.param(
            {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}},
            spec_of({"cpu": "1"}),
            True,
            id="of no priority",
        ),
        pytest.param({"scopes": ["PriorityClass"]}, spec_of({"cpu": "1"}), False, id="of any priority"),
        pytest.param({"scopes": ["Unheard"]}, spec_of({"cpu": "1"}), True, id="a scope that is not known counts"),
    ],
)
def test_a_quota_counts_the_pods_of_its_scope(scope: dict[str, Any], spec: dict[str, Any], counts: bool) -> None:
    assert refused(quota({"cpu": "0"}, **scope), spec=spec) == (Reason.QUOTA_EXCEEDED if counts else None)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(limit_range(max={"cpu": "250m"}), None, id="the highest limit"),
        pytest.param(limit_range(max={"cpu": "249m"}), Reason.LIMIT_RANGE, id="a limit above"),
        pytest.param(limit_range(min={"memory": "48Mi"}), None, id="the lowest request"),
        pytest.param(limit_range(min={"memory": "64Mi"}), Reason.LIMIT_RANGE, id="a request below"),
        pytest.param(limit_range(maxLimitRequestRatio={"cpu": "25"}), None, id="just as steep"),
        pytest.param(limit_range(maxLimitRequestRatio={"cpu": "24"}), Reason.LIMIT_RANGE, id="too steep"),
        pytest.param(limit_range(max={"ephemeral-storage": "1Gi"}), Reason.LIMIT_RANGE, id="a limit that we have not"),
        pytest.param(
            limit_range(max={"ephemeral-storage": "1Gi"}, default={"ephemeral-storage": "1Gi"}),
            None,
            id="a limit that the range gives us",
        ),
        pytest.param(limit_range("Pod", max={"cpu": "2250m"}), None, id="the whole pod's highest limit"),
        pytest.param(limit_range("Pod", max={"cpu": "2249m"}), Reason.LIMIT_RANGE, id="a whole pod above"),
        pytest.param(limit_range("PersistentVolumeClaim", max={"storage": "1"}), None, id="of something else"),
    ],
)
def test_a_limit_range_lets_the_sidecar_in_by_its_bounds(found: dict[str, Any], reason: Reason | None) -> None:
    assert refused(ranges=[found], spec=spec_of({"cpu": "1"}, {"cpu": "2"})) == reason


def test_what_a_limit_range_gives_the_sidecar_is_counted_by_a_quota() -> None:
    gives = limit_range(default={"ephemeral-storage": "1Gi"}, defaultRequest={"ephemeral-storage": "1Mi"})
    assert refused(quota({"requests.ephemeral-storage": "1Mi"}), ranges=[gives]) is None
    assert refused(quota({"limits.ephemeral-storage": "1Mi"}), ranges=[gives]) == Reason.QUOTA_EXCEEDED


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_documents_of_a_strange_shape_bound_nothing(broken: Any) -> None:
    found = limits_of([{"spec": broken, "status": broken}, {}], [{"spec": {"limits": broken}}, {"spec": broken}])
    assert found == NamespaceLimits()


def test_a_pod_whose_namespace_has_no_room_for_the_sidecar_gets_environment_only_and_every_reason() -> None:
    document = pod(container(resources={"requests": {"cpu": "1"}}), annotations={"floe.dev/environment-only": "maybe"})
    found = injected(document, limits=limits_of([quota({"cpu": "1"})], []))
    assert found.plan.decision.outcome is Outcome.ENVIRONMENT_ONLY
    assert found.plan.decision.reasons[:2] == (Reason.ANNOTATION_INVALID, Reason.QUOTA_EXCEEDED)
    assert found.plan.sidecar is None
    assert found.plan.volumes == ()
    assert "127.0.0.1" not in found.patch


def test_a_pod_whose_namespace_has_room_is_injected_as_one_whose_namespace_is_not_known() -> None:
    document = pod(container(resources={"requests": {"cpu": "1"}}))
    assert injected(document, limits=limits_of([quota({"cpu": "2"})], [])).patch == injected(document).patch
