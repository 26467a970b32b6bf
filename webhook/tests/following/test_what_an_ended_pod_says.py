"""How a pod's status is read, and the events that follow from it."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

from floe_webhook.endings import SidecarReport, ending_of, sidecar_report
from floe_webhook.pod_runs import attempt_id, events_of, job_of
from webhook.tests import strategies
from webhook.tests.builders import container, pod
from webhook.tests.following.ended import (
    FINISHED,
    STARTED,
    UID,
    by_an_older_webhook,
    ended,
    status_of,
    terminated,
    unnamed,
)

pytestmark = pytest.mark.requirement("HOUSE-5", "HOUSE-4")

DELETED_WHILE_RUNNING = {"deletionTimestamp": "2026-11-21T10:02:30Z", "deletionGracePeriodSeconds": 30}
DELETED_LATER = {"deletionTimestamp": "2026-11-21T12:00:00Z", "deletionGracePeriodSeconds": 30}
# As the kubelet leaves a deleted pod behind: the time is that of the last deletion, and no grace is left.
CLEARED_AWAY = {"deletionTimestamp": "2026-11-21T10:02:05Z", "deletionGracePeriodSeconds": 0}
CLEARED_AWAY_LATER = {"deletionTimestamp": "2026-11-21T12:00:00Z", "deletionGracePeriodSeconds": 0}


def disrupted(reason: str) -> dict[str, Any]:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": reason, "lastTransitionTime": FINISHED}
    return {"conditions": [condition]}


def app(code: int, reason: str | None = None) -> dict[str, Any]:
    return status_of("app", terminated(code, reason))


@pytest.mark.parametrize(
    ("document", "end", "cause"),
    [
        pytest.param(ended(), "COMPLETE", "", id="a pod that succeeded"),
        pytest.param(ended(app(1), phase="Failed"), "FAIL", "Error", id="an exit code"),
        pytest.param(ended(app(137, "OOMKilled"), phase="Failed"), "FAIL", "OOMKilled", id="out of memory"),
        pytest.param(
            ended(app(137), phase="Failed", status={"reason": "DeadlineExceeded"}),
            "FAIL",
            "DeadlineExceeded",
            id="longer than its own deadline",
        ),
        pytest.param(
            ended(app(137), phase="Failed", status={"reason": "Evicted"}), "ABORT", "Evicted", id="evicted by its node"
        ),
        pytest.param(
            ended(phase="Failed", status={"reason": "Evicted", "containerStatuses": []}),
            "ABORT",
            "Evicted",
            id="evicted before a container ran",
        ),
        pytest.param(
            ended(app(143), phase="Failed", status=disrupted("PreemptionByScheduler")),
            "ABORT",
            "PreemptionByScheduler",
            id="preempted",
        ),
        pytest.param(
            ended(app(2), phase="Failed", status=disrupted("PreemptionByScheduler")),
            "FAIL",
            "Error",
            id="its own failure while it was about to be preempted",
        ),
        pytest.param(
            ended(app(143), phase="Failed", metadata=DELETED_WHILE_RUNNING),
            "ABORT",
            "Deleted",
            id="a Job's pod, deleted",
        ),
        pytest.param(
            ended(app(137), phase="Failed", metadata=DELETED_LATER), "FAIL", "Error", id="deleted long after it failed"
        ),
        pytest.param(
            ended(app(137), phase="Failed", metadata=CLEARED_AWAY, terminationGracePeriodSeconds=2),
            "ABORT",
            "Deleted",
            id="a deleted pod that its node clears away already",
        ),
        pytest.param(
            ended(app(137), phase="Failed", metadata=CLEARED_AWAY_LATER, terminationGracePeriodSeconds=2),
            "FAIL",
            "Error",
            id="cleared away long after it failed",
        ),
        pytest.param(
            ended(app(137), phase="Failed", metadata=CLEARED_AWAY, terminationGracePeriodSeconds=2**62),
            "ABORT",
            "Deleted",
            id="a grace period longer than any calendar",
        ),
        pytest.param(
            ended(app(3), phase="Failed", metadata=CLEARED_AWAY), "FAIL", "Error", id="its own failure, cleared away"
        ),
        pytest.param(
            ended(app(143), phase="Failed", metadata=DELETED_WHILE_RUNNING, restartPolicy="Always"),
            "COMPLETE",
            "Deleted",
            id="a service is rolled out anew",
        ),
        pytest.param(
            ended(app(137), phase="Failed", metadata=DELETED_WHILE_RUNNING, restartPolicy="Always"),
            "ABORT",
            "Deleted",
            id="a service that had to be killed",
        ),
        pytest.param(
            ended(app(0), status_of("other", terminated(3)), phase="Failed"), "FAIL", "Error", id="one of two fails"
        ),
        pytest.param(
            ended(app(0), phase="Failed", status={"reason": "NodeLost"}), "ABORT", "NodeLost", id="its node is lost"
        ),
        pytest.param(
            ended(
                phase="Failed",
                status={"containerStatuses": [], "initContainerStatuses": [status_of("wait", terminated(7))]},
            ),
            "FAIL",
            "Error",
            id="an init container fails",
        ),
    ],
)
def test_a_pods_status_says_how_its_run_ended(document: dict[str, Any], end: str, cause: str) -> None:
    ending = ending_of(document)

    assert (ending.state, ending.cause) == (end, cause)


def test_a_killed_sidecar_does_not_fail_its_pods_run() -> None:
    killed = [status_of("floe-sidecar", terminated(137, "OOMKilled"))]

    assert ending_of(ended(app(0), phase="Failed", status={"initContainerStatuses": killed})).exit_code is None


def test_a_pod_has_one_start_and_one_end_under_its_uid_and_the_job_that_it_was_told() -> None:
    start, end = (json.loads(event) for event in events_of(ended()))

    assert [start["eventType"], end["eventType"]] == ["START", "COMPLETE"]
    assert [start["eventTime"], end["eventTime"]] == [STARTED, FINISHED]
    assert {start["run"]["runId"], end["run"]["runId"]} == {UID}
    assert start["job"] == end["job"]
    assert (end["job"]["namespace"], end["job"]["name"]) == ("single-tenant/load", "load")
    assert end["run"]["facets"]["floe_pod"]["durationSeconds"] == 120.0
    assert end["run"]["facets"]["floe_pod"]["owner"] == {"kind": "CronJob", "name": "load"}


def test_a_failure_says_its_cause_as_a_facet_and_nothing_that_the_application_wrote() -> None:
    failed = status_of("app", terminated(137, "OOMKilled", message="password=hunter2"))

    *_, end = events_of(ended(failed, phase="Failed"))

    error = json.loads(end)["run"]["facets"]["errorMessage"]
    assert error["message"] == "Container app ended with exit code 137: OOMKilled."
    assert error["programmingLanguage"] == "UNKNOWN"
    assert b"hunter2" not in end


def test_a_restarted_container_has_a_run_for_each_attempt_below_the_pods() -> None:
    earlier = terminated(1, startedAt="2026-11-21T10:00:01Z", finishedAt="2026-11-21T10:00:03Z")
    restarted = status_of("app", terminated(0), restartCount=2, lastState={"terminated": earlier})

    told = [json.loads(event) for event in events_of(ended(restarted, restartPolicy="OnFailure"))]

    assert [(one["run"]["runId"], one["eventType"]) for one in told] == [
        (UID, "START"),
        (str(attempt_id(UUID(UID), "app", 1)), "START"),
        (str(attempt_id(UUID(UID), "app", 1)), "FAIL"),
        (str(attempt_id(UUID(UID), "app", 2)), "START"),
        (str(attempt_id(UUID(UID), "app", 2)), "COMPLETE"),
        (UID, "COMPLETE"),
    ]
    parents = [one["run"]["facets"]["parent"]["run"]["runId"] for one in told[1:-1]]
    assert parents == [UID] * 4
    assert {one["job"]["name"] for one in told[1:-1]} == {"load.app"}


def test_a_pod_whose_user_names_the_parent_is_filed_under_its_workload() -> None:
    own = container(
        variables={"OPENLINEAGE_CONTEXT": '{"parent":{"run":{"runId":"x"},"job":{"namespace":"a","name":"b"}}}'}
    )
    document = by_an_older_webhook(ended())
    told = job_of(document)
    document["spec"]["containers"][0]["env"] = [
        entry for entry in document["spec"]["containers"][0]["env"] if entry["name"] != "OPENLINEAGE_CONTEXT"
    ] + own["env"]
    record = document["metadata"]["annotations"]["floe.dev/injection"]
    document["metadata"]["annotations"]["floe.dev/injection"] = record.replace(',"OPENLINEAGE_CONTEXT"', "")

    assert job_of(document) == told


def test_a_pod_that_was_told_nothing_of_lineage_has_no_run() -> None:
    assert events_of(unnamed(ended())) == ()


def test_a_pod_that_nothing_names_beforehand_is_filed_under_its_own_namespace() -> None:
    document = ended(owned_by=None)
    document["metadata"]["namespace"] = "sales"

    assert job_of(document) is not None


@pytest.mark.parametrize(
    ("message", "report"),
    [
        pytest.param(
            '{"acked_events":7,"delivered_events":3,"handed_over_events":2,"unsent_events":1,"dead_letters":1}',
            SidecarReport(7, 3, 2, 1, 1),
            id="a report",
        ),
        pytest.param(
            '{"acked_events":1,"delivered_events":1,"unsent_telemetry_requests":3}',
            SidecarReport(1, 1, 0, 0, 0, unsent_telemetry=3),
            id="telemetry is left",
        ),
        pytest.param('{"acked_events":0}', SidecarReport(0, 0, 0, 0, 0), id="a report of nothing"),
        pytest.param('{"pod_run_started_at":"2026-11-21T10:00:01Z"}', None, id="it was killed before its report"),
        pytest.param("{}", None, id="no report"),
        pytest.param("killed", None, id="no JSON"),
        pytest.param("[1]", None, id="another document"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_a_sidecars_last_words_are_read_if_they_can_be(message: str | None, report: SidecarReport | None) -> None:
    assert sidecar_report(ended(report=message)) == report


@pytest.mark.requirement("RELAY-7", "RELAY-10")
@pytest.mark.parametrize(
    ("messages", "started_at"),
    [
        pytest.param(
            {"state": {"pod_run_started_at": "2026-11-21T10:00:01Z", "acked_events": 1}},
            "2026-11-21T10:00:01Z",
            id="its report",
        ),
        pytest.param(
            {"state": {"pod_run_started_at": "2026-11-21T10:00:01Z"}}, "2026-11-21T10:00:01Z", id="it was killed"
        ),
        pytest.param(
            {"state": {}, "lastState": {"pod_run_started_at": "2026-11-21T10:00:01Z"}},
            "2026-11-21T10:00:01Z",
            id="it was killed again as soon as it was restarted",
        ),
        pytest.param({"state": {"acked_events": 1}}, STARTED, id="it has begun no run"),
        pytest.param({"state": {"pod_run_started_at": "soon"}}, STARTED, id="it says no time"),
        pytest.param({}, STARTED, id="it is not there"),
    ],
)
def test_a_run_starts_when_its_sidecar_has_said_that_it_does(
    messages: dict[str, dict[str, Any]], started_at: str
) -> None:
    sidecar = {"name": "floe-sidecar", "restartCount": 1} | {
        kept: {"terminated": terminated(137) | {"message": json.dumps(message)}} for kept, message in messages.items()
    }

    start, end = (json.loads(event) for event in events_of(ended(status={"initContainerStatuses": [sidecar]})))

    assert (start["eventTime"], end["eventTime"]) == (started_at, FINISHED)


def test_no_end_lies_before_the_start_that_the_sidecar_said() -> None:
    later = "2026-11-21T10:05:00Z"

    start, end = (json.loads(event) for event in events_of(ended(report=json.dumps({"pod_run_started_at": later}))))

    assert (start["eventTime"], end["eventTime"]) == (later, later)
    assert end["run"]["facets"]["floe_pod"]["durationSeconds"] == 0.0


@pytest.mark.requirement("RELAY-7")
def test_a_pod_whose_application_never_started_has_an_end_too() -> None:
    waiting = {"name": "app", "state": {"waiting": {"reason": "ImagePullBackOff"}}, "restartCount": 0}
    sidecar = status_of("floe-sidecar", terminated(0) | {"message": '{"pod_run_started_at":"2026-11-21T10:00:01Z"}'})
    status = {"containerStatuses": [waiting], "initContainerStatuses": [sidecar]}

    start, end = (json.loads(event) for event in events_of(ended(phase="Failed", status=status)))

    assert (start["eventType"], start["eventTime"]) == ("START", "2026-11-21T10:00:01Z")
    assert end["eventType"] in {"FAIL", "ABORT"}


@pytest.mark.parametrize(
    "document", [pytest.param(ended(), id="told"), pytest.param(by_an_older_webhook(ended()), id="not told")]
)
def test_the_sidecar_and_the_application_are_told_the_same_job(document: dict[str, Any]) -> None:
    job = job_of(document)

    assert job is not None
    assert (job.namespace, job.name) == ("single-tenant/load", "load")


@pytest.mark.requirement("RELAY-8")
@settings(max_examples=40)
@given(
    code=st.sampled_from([0, 1, 137, 143]), restarts=st.integers(0, 3), deleted=st.booleans(), pods=strategies.pods()
)
def test_the_same_pod_always_gives_the_same_valid_events_with_one_end_for_each_run(
    code: int, restarts: int, deleted: bool, pods: dict[str, Any]
) -> None:
    earlier = {"terminated": terminated(1)}
    status = status_of("app", terminated(code), restartCount=restarts, lastState=earlier if restarts else {})
    document = ended(status, phase="Failed" if code else "Succeeded", metadata=DELETED_WHILE_RUNNING if deleted else {})
    document["spec"] |= {key: value for key, value in pods["spec"].items() if key != "containers"}

    events = events_of(document)

    assert events == events_of(document)
    ends: dict[str, int] = {}
    for event in map(json.loads, events):
        _valid(event)
        ends[event["run"]["runId"]] = ends.get(event["run"]["runId"], 0) + (event["eventType"] != "START")
    assert set(ends.values()) == {1}


def _valid(event: dict[str, Any]) -> None:
    """The client's own models check times, ids and URIs as the specification 2-0-2 does."""
    RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        eventType=RunState[event["eventType"]],
        run=Run(event["run"]["runId"]),
        job=Job(event["job"]["namespace"], event["job"]["name"]),
    )
    facets = {**event["run"]["facets"], **event["job"]["facets"]}
    assert all({"_producer", "_schemaURL"} <= facet.keys() for facet in facets.values())
    assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/")
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is UTC


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-300, 300) | st.sampled_from(["", "0", FINISHED, "2026-11-21", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "state", "terminated"]), inner)
    ),
    max_leaves=6,
)
_FIELDS = ["phase", "reason", "startTime", "conditions", "containerStatuses", "initContainerStatuses"]


@settings(max_examples=60)
@given(status=st.dictionaries(st.sampled_from(_FIELDS), _ANYTHING), state=_ANYTHING, started=_ANYTHING)
def test_a_status_of_any_shape_is_read_as_some_end(status: dict[str, Any], state: Any, started: Any) -> None:
    entry = {"name": "app", "restartCount": 1, "state": {"terminated": state}, "lastState": state}
    document = ended()
    document["status"] = {"containerStatuses": [entry, started], "phase": "Failed"} | status
    document["metadata"]["deletionTimestamp"] = started

    assert ending_of(document).finished_at >= ending_of(document).started_at
    assert len(events_of(document)) >= 2


def test_a_pod_in_any_state_can_be_read() -> None:
    assert events_of({}) == events_of(pod()) == ()
    assert ending_of({"status": {"phase": "Failed", "containerStatuses": [None, 3, {"state": 1}]}}).state == "FAIL"
