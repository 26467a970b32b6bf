"""How a pod ended, and its restarted containers before it: read off its status, which only the API server knows.

| the pod's end                                                       | read as  | cause      |
|---------------------------------------------------------------------|----------|------------|
| phase Succeeded                                                     | COMPLETE |            |
| a service (`restartPolicy: Always`) is deleted and exits 0 or 143   | COMPLETE | Deleted    |
| a service is deleted and exits otherwise; a Job's pod is deleted    | ABORT    | Deleted    |
| stopped from outside: Evicted, preempted, a node's shutdown or loss | ABORT    | the reason |
| DeadlineExceeded, OOMKilled, an exit code other than 0              | FAIL     | the reason |

A container that a signal killed, after its pod's deletion was asked for or a disruption began (the condition
`DisruptionTarget`), was ended from outside. Of several containers the first that failed says why. Native sidecars do
not count: they end after the work is done.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import orjson

from floe_webhook import pod as pods
from floe_webhook.pod import Document

_FROM_OUTSIDE = frozenset(
    {
        "Deleted",
        "DeletionByPodGC",
        "DeletionByTaintManager",
        "Evicted",
        "EvictionByEvictionAPI",
        "NodeLost",
        "NodeShutdown",
        "Preempting",
        "PreemptionByScheduler",
        "Shutdown",
        "Terminated",
        "TerminationByKubelet",
    }
)
_REPORTED = (
    "acked_events",
    "delivered_events",
    "handed_over_events",
    "unsent_events",
    "dead_letters",
    "unsent_telemetry_requests",
)
_KILLED_CODES = frozenset({130, 137, 143})
_GRACEFUL_CODES = frozenset({0, 143})
_DEFAULT_GRACE_SECONDS = 30  # Kubernetes' own
_CLEARING_SECONDS = 10  # from the last container's end to the pod's, on a busy node


class End(StrEnum):
    """How a run ended."""

    COMPLETE = "COMPLETE"
    FAIL = "FAIL"
    ABORT = "ABORT"


@dataclass(frozen=True, slots=True)
class Ending:
    """How and when something ended.

    Attributes:
        cause: One word as Kubernetes says it, e.g. `OOMKilled`; empty if it simply completed.
        container: Whose exit code it is; empty if the pod as a whole was ended.
    """

    state: End
    cause: str
    container: str
    exit_code: int | None
    started_at: datetime
    finished_at: datetime


def ending_of(pod: Document) -> Ending:
    """How the pod ended."""
    started_at, finished_at = _times(pod)
    if pods.text(pod, "status", "phase") == "Succeeded":
        return Ending(End.COMPLETE, "", "", None, started_at, finished_at)
    container, state = next((one for one in _terminated(pod) if _code(one[1]) not in {0, None}), ("", {}))
    code = _code(state)
    cause = pods.text(pod, "status", "reason") or _from_outside(pod, code, finished_at) or _own_reason(state)
    return Ending(_end(pod, cause, code), cause, container, code, started_at, finished_at)


def attempts_of(pod: Document) -> Iterator[tuple[str, int, Ending]]:
    """Container, number and end of the attempts that the status still knows, of containers that were restarted."""
    for status in pods.entries(pods.mapping(pod, "status"), "containerStatuses"):
        restarts = pods.mapping(status).get("restartCount")
        if not isinstance(restarts, int) or restarts < 1:
            continue
        for attempt, kept in ((restarts - 1, "lastState"), (restarts, "state")):
            name, state = pods.text(status, "name"), pods.mapping(status, kept, "terminated")
            ending = _ending_of_attempt(pod, name, state)
            if ending is not None:
                yield name, attempt, ending


def _ending_of_attempt(pod: Document, name: str, state: Document) -> Ending | None:
    code, finished_at = _code(state), _time(pods.text(state, "finishedAt"))
    if code is None or finished_at is None:
        return None
    started_at = min(_time(pods.text(state, "startedAt")) or finished_at, finished_at)
    if code == 0:
        return Ending(End.COMPLETE, "", name, code, started_at, finished_at)
    cause = _from_outside(pod, code, finished_at) or _own_reason(state)
    return Ending(_end(pod, cause, code), cause, name, code, started_at, finished_at)


def _end(pod: Document, cause: str, code: int | None) -> End:
    is_service = pods.text(pod, "spec", "restartPolicy") == "Always"
    if cause == "Deleted" and is_service and code in _GRACEFUL_CODES:
        return End.COMPLETE
    return End.ABORT if cause in _FROM_OUTSIDE else End.FAIL


def _from_outside(pod: Document, code: int | None, finished_at: datetime) -> str:
    """Who ended it, if not the container itself."""
    if code is not None and code not in _KILLED_CODES:
        return ""
    for condition in pods.entries(pods.mapping(pod, "status"), "conditions"):
        if pods.text(condition, "type") == "DisruptionTarget" and pods.text(condition, "status") == "True":
            since = _time(pods.text(condition, "lastTransitionTime"))
            if since is None or since <= finished_at:
                return pods.text(condition, "reason")
    return "Deleted" if _is_deleted_before(pod, finished_at) else ""


def _is_deleted_before(pod: Document, moment: datetime) -> bool:
    """Whether the deletion was asked for by then: `deletionTimestamp` lies a grace period after that.

    When all containers have ended the kubelet deletes the pod for good: with a grace period of 0 and a new time. When
    it was asked for is forgotten then; at the earliest the pod's own grace period before its containers had ended.
    """
    metadata = pods.mapping(pod, "metadata")
    due = _time(pods.text(metadata, "deletionTimestamp"))
    grace = metadata.get("deletionGracePeriodSeconds")
    if not isinstance(grace, int) or grace <= 0:
        own = pods.mapping(pod, "spec").get("terminationGracePeriodSeconds")
        grace = (own if isinstance(own, int) else _DEFAULT_GRACE_SECONDS) + _CLEARING_SECONDS
    return due is not None and (due - moment).total_seconds() <= grace


def _own_reason(state: Document) -> str:
    return pods.text(state, "reason") or "Error"


def _terminated(pod: Document) -> Iterator[tuple[str, Document]]:
    """Ended containers: those of the application first, then its init containers; the sidecars are none of them."""
    status = pods.mapping(pod, "status")
    sidecars = {
        name
        for _, name, container in pods.containers(pod, "initContainers")
        if pods.text(container, "restartPolicy") == "Always"
    }
    for kind in ("containerStatuses", "initContainerStatuses"):
        for entry in pods.entries(status, kind):
            name, state = pods.text(entry, "name"), pods.mapping(entry, "state", "terminated")
            if state and name not in sidecars:
                yield name, state


def _times(pod: Document) -> tuple[datetime, datetime]:
    """When it started and ended; the status of a pod that never ran has fewer times, and some are always there."""
    metadata, status = pods.mapping(pod, "metadata"), pods.mapping(pod, "status")
    created = _time(pods.text(metadata, "creationTimestamp")) or datetime.fromtimestamp(0, UTC)
    ended = [_time(pods.text(state, "finishedAt")) for _, state in _terminated(pod)]
    changed = [_time(pods.text(entry, "lastTransitionTime")) for entry in pods.entries(status, "conditions")]
    begun = [_time(pods.text(state, "startedAt")) for _, state in _terminated(pod)]
    fallback = max((time for time in changed if time), default=_time(pods.text(status, "startTime")) or created)
    finished = max((time for time in ended if time), default=fallback)
    first = min((time for time in begun if time), default=_time(pods.text(status, "startTime")) or created)
    return min(first, finished), finished


def _code(state: Document) -> int | None:
    code = state.get("exitCode")
    return code if isinstance(code, int) else None


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class SidecarReport:
    """What the sidecar said at its end (docs/gateway.md), in events.

    Attributes:
        acked: Taken from the application.
        unsent: Neither delivered nor handed over.
        dead_letters: Refused by the backend for good.
        unsent_telemetry: Export requests that no backend took; the gateway takes lineage only.
    """

    acked: int
    delivered: int
    handed_over: int
    unsent: int
    dead_letters: int
    unsent_telemetry: int = 0


def sidecar_report(pod: Document) -> SidecarReport | None:
    """The sidecar's termination message; None if it has not ended, was killed, or said nothing that can be read."""
    told = next(_messages_of_sidecar(pod), {})
    # One that was killed has said no more than when its pod's run was begun.
    return SidecarReport(*(_count(told, name) for name in _REPORTED)) if _REPORTED[0] in told else None


def run_begun_at(pod: Document) -> datetime | None:
    """When the pod's own run was begun by its sidecar, which may have been killed since; None if it was not.

    The sidecar says so as soon as START is durable, in its termination message, and again after each restart.
    """
    times = (_time(pods.text(told, "pod_run_started_at")) for told in _messages_of_sidecar(pod))
    return next((time for time in times if time is not None), None)


def _messages_of_sidecar(pod: Document) -> Iterator[Document]:
    """What the sidecar said last, and before its last restart."""
    for status in pods.entries(pods.mapping(pod, "status"), "initContainerStatuses"):
        if pods.text(status, "name") != pods.SIDECAR_NAME:
            continue
        for kept in ("state", "lastState"):
            try:
                told = orjson.loads(pods.text(status, kept, "terminated", "message"))
            except orjson.JSONDecodeError:
                told = None
            yield told if isinstance(told, dict) else {}


def has_sidecar(pod: Document) -> bool:
    """Whether the sidecar is among the pod's init containers."""
    return any(name == pods.SIDECAR_NAME for _, name, _ in pods.containers(pod, "initContainers"))


def _count(told: Document, name: str) -> int:
    count = told.get(name)
    return count if isinstance(count, int) and count > 0 else 0
