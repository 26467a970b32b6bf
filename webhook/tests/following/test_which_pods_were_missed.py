"""The truth table of floe_webhook.missed, and what the whole pod says beyond its metadata."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_webhook.announcements import Subject
from floe_webhook.missed import (
    Surroundings,
    Verdict,
    announcement,
    counts,
    is_confirmed,
    missed,
    opted_in_at,
    unknown_labels,
)
from webhook.tests.builders import PROFILE, container, owner, pod

pytestmark = pytest.mark.requirement("FP-1", "HOUSE-2")

LABELLED_AT, BEFORE, AFTER = "2026-11-21T10:00:00Z", "2026-11-21T09:59:00Z", "2026-11-21T10:05:00Z"


def namespace(label: str | None = "enabled", *, name: str = "sales", at: str | None = LABELLED_AT) -> dict[str, Any]:
    labels = {} if label is None else {"floe.dev/inject": label}
    written: dict[str, Any] = {"f:metadata": {"f:labels": {"f:floe.dev/inject": {}}}}
    entries = [] if at is None else [{"manager": "kubectl-label", "time": at, "fieldsV1": written}]
    return {"metadata": {"name": name, "labels": labels, "managedFields": entries}}


def running(
    label: str | None = None, *, created: str = AFTER, namespace: str = "sales", **metadata: Any
) -> dict[str, Any]:
    labels = metadata.pop("labels", {}) | ({} if label is None else {"floe.dev/inject": label})
    return {
        "metadata": {
            "name": "a",
            "namespace": namespace,
            "uid": "1",
            "creationTimestamp": created,
            "labels": labels,
            **metadata,
        }
    }


def verdicts(document: dict[str, Any], *namespaces: dict[str, Any], installed_at: str | None = None) -> list[Verdict]:
    surroundings = Surroundings(
        {one["metadata"]["name"]: one for one in namespaces},
        frozenset({"kube-system", "floe-system"}),
        datetime.fromisoformat(installed_at) if installed_at else None,
    )
    return [one.verdict for one in missed([document], surroundings)]


@pytest.mark.parametrize(
    ("namespace_label", "pod_label", "created", "verdict"),
    [
        pytest.param("enabled", None, AFTER, Verdict.MISSED, id="made after its namespace opted in"),
        pytest.param("enabled", None, BEFORE, Verdict.OLDER, id="made before"),
        pytest.param("enabled", None, "2026-11-21T10:00:03Z", Verdict.OLDER, id="made while it settled"),
        pytest.param("enabled", "true", BEFORE, Verdict.MISSED, id="its own label counts from its creation"),
        pytest.param(None, "enabled", AFTER, Verdict.MISSED, id="a pod that opted in for itself"),
        pytest.param("enabled", "false", AFTER, None, id="a pod that opted out"),
        pytest.param("disabled", None, AFTER, None, id="a namespace that opted out"),
        pytest.param(None, None, AFTER, None, id="nobody opted in"),
        pytest.param("enabled", "maybe", AFTER, Verdict.POD_LABEL_UNKNOWN, id="a pod's label means nothing"),
        pytest.param("on", None, AFTER, Verdict.NAMESPACE_LABEL_UNKNOWN, id="a namespace's label means nothing"),
        pytest.param("on", "true", AFTER, Verdict.MISSED, id="a pod's word beats a namespace's nonsense"),
    ],
)
def test_labels_and_age_say_whether_a_pod_was_missed(
    namespace_label: str | None, pod_label: str | None, created: str, verdict: Verdict | None
) -> None:
    found = verdicts(running(pod_label, created=created), namespace(namespace_label))

    assert found == ([] if verdict is None else [verdict])


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(running("true", labels={"floe.dev/injected": "true"}), id="it is injected"),
        pytest.param(running("true", namespace="kube-system"), id="its namespace is excluded"),
        pytest.param(running("true", deletionTimestamp=AFTER), id="it is about to end"),
        pytest.param(running("true", annotations={"kubernetes.io/config.mirror": "x"}), id="it mirrors a static pod"),
    ],
)
def test_metadata_alone_say_that_a_pod_is_left_alone(document: dict[str, Any]) -> None:
    assert verdicts(document) == []


def test_a_pod_older_than_the_webhook_was_not_missed() -> None:
    assert verdicts(running("true"), installed_at="2026-11-21T10:06:00Z") == [Verdict.OLDER]
    assert verdicts(running("true"), installed_at="2026-11-21T10:01:00Z") == [Verdict.MISSED]


def test_a_namespace_that_does_not_say_when_it_opted_in_did_so_long_ago() -> None:
    assert verdicts(running(created=BEFORE), namespace(at=None)) == [Verdict.MISSED]


def test_the_last_write_of_whoever_set_the_label_counts() -> None:
    document = namespace()
    document["metadata"]["managedFields"] += [{"time": AFTER, "fieldsV1": {"f:metadata": {"f:labels": {"f:a": {}}}}}]

    assert opted_in_at(document) == datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_namespaces_with_a_label_that_means_nothing_are_named() -> None:
    found = [namespace("on", name="a"), namespace("true", name="b"), namespace("disabled", name="c")]

    assert unknown_labels(found) == ["a"]


def test_people_are_told_on_the_workload() -> None:
    replica_set = owner("ReplicaSet", "web-abc") | {"apiVersion": "apps/v1", "uid": "2"}
    document = running("true", labels={"pod-template-hash": "abc"}, ownerReferences=[replica_set])

    (found,) = missed([document], Surroundings({}))

    between = Subject("sales", "ReplicaSet", "web-abc", "apps/v1", "2")
    assert announcement(found).subject == Subject("sales", "Deployment", "web", through=between)
    assert announcement(found).reason == "NotInjected"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({}, True, id="an ordinary pod"),
        pytest.param({"priorityClassName": "system-node-critical"}, False, id="the cluster depends on it"),
        pytest.param({"hostNetwork": True}, True, id="without a sidecar it would have got the environment"),
    ],
)
def test_the_whole_pod_says_whether_it_would_be_injected(spec: dict[str, Any], expected: bool) -> None:
    document = pod(container(), **spec)
    document["metadata"]["namespace"] = "sales"

    assert is_confirmed(document, Surroundings({}), PROFILE) is expected


@given(
    st.lists(st.sampled_from([running("true"), running("maybe"), running(), running("true", created=BEFORE)])),
    st.sampled_from([None, "enabled", "on", "disabled"]),
)
def test_each_pod_has_one_verdict_at_most_and_none_is_counted_twice(
    found: list[dict[str, Any]], label: str | None
) -> None:
    judged = missed(found, Surroundings({"sales": namespace(label)}))

    assert len(judged) <= len(found)
    assert sum(counts(judged).values()) == len(judged)
    assert set(counts(judged)) == set(Verdict)


def test_every_verdict_has_a_sentence_and_a_remedy() -> None:
    assert all(verdict.sentence.endswith(".") and verdict.remedy.endswith(".") for verdict in Verdict)
