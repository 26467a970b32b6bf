"""The pod's own run: what an ended pod says about the runs that it and its restarts were, as OpenLineage events.

| who                   | sends                                                                                     |
|-----------------------|-------------------------------------------------------------------------------------------|
| the sidecar           | START of the pod's own run when it starts, what the application says, ABORT for open runs  |
| the webhook's leader  | START and end of the pod's own run, once the pod has ended, also if its sidecar was killed |

Both say START at the same time: the sidecar writes it into its termination message before anything can kill it.

A run is the pod: its id is the pod's UID, its job is the one that the webhook told the sidecar, or the application as
its parent (`OPENLINEAGE_CONTEXT`). A container that was restarted has runs of its own below it, one for each attempt
that the pod's status still knows: the last one and the one before. Their ids follow from the pod's UID, the container
and the attempt.

Everything follows from the pod's document alone: the same pod gives the same bytes, so an event that is sent twice is
the same event. No value of the application's travels: termination messages of its containers are not read.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import orjson

from floe_sidecar.settings import Variable as SidecarVariable
from floe_webhook import pod as pods
from floe_webhook.endings import End, Ending, attempts_of, ending_of, run_begun_at
from floe_webhook.owners import workload_of
from floe_webhook.pod import Document
from floe_webhook.record import record_of

PRODUCER = "https://floe.dev/webhook"
EVENT_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"

_POD_FACET = "https://floe.dev/spec/facets/1-0-0/PodRunFacet.json#/$defs/PodRunFacet"
_ERROR_FACET = "https://openlineage.io/spec/facets/1-0-1/ErrorMessageRunFacet.json#/$defs/ErrorMessageRunFacet"
_PARENT_FACET = "https://openlineage.io/spec/facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet"
_JOB_TYPE_FACET = "https://openlineage.io/spec/facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet"

_CONTEXT, _NAMESPACE = "OPENLINEAGE_CONTEXT", "OPENLINEAGE_NAMESPACE"
_EXPANSION = re.compile(r"\$(\$|\(([^)]*)\))")
_LONGEST_NAME = 1024


@dataclass(frozen=True, slots=True)
class JobName:
    """The job of a pod's run."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class _Run:
    """A run and how it ended; `attempt` of a restarted container's."""

    id: UUID
    job: JobName
    ending: Ending
    facets: Mapping[str, Any] = field(default_factory=dict)
    attempt: int | None = None


def events_of(pod: Document) -> tuple[bytes, ...]:
    """The events of an ended pod, in the order in which they are to be sent; empty if it has no job's name.

    Args:
        pod: The raw document, with its status.
    """
    job, uid = job_of(pod), _uuid(pods.text(pod, "metadata", "uid"))
    if job is None or uid is None:
        return ()
    start, end = _events(pod, _Run(uid, job, _from_its_start(ending_of(pod), run_begun_at(pod))))
    parent = {
        **_facet(_PARENT_FACET),
        "run": {"runId": str(uid)},
        "job": {"namespace": job.namespace, "name": job.name},
    }
    attempts: list[bytes] = []
    for name, attempt, ending in attempts_of(pod):
        below = JobName(job.namespace, f"{job.name}.{name}")
        attempts += _events(pod, _Run(attempt_id(uid, name, attempt), below, ending, {"parent": parent}, attempt))
    return (start, *attempts, end)


def _from_its_start(ending: Ending, begun_at: datetime | None) -> Ending:
    """The ending of a run that its sidecar has begun; no end lies before its START, whatever a clock says."""
    if begun_at is None:
        return ending
    return replace(ending, started_at=begun_at, finished_at=max(begun_at, ending.finished_at))


def attempt_id(pod_uid: UUID, container: str, attempt: int) -> UUID:
    """The run id of a container's attempt; the first one is 0."""
    return uuid5(pod_uid, f"{container}/{attempt}")


def job_of(pod: Document) -> JobName | None:
    """The job that the webhook named as the parent of what runs in the pod; None if it named none.

    What the sidecar was told comes first: it has begun the run under that name. Where there is none and the user names
    a parent, ours stayed out; then the workload's name and our namespace stand for it.
    """
    if (told := _job_of_sidecar(pod)) is not None:
        return told
    written = _written(pod)
    fallback = None
    for _, name, container in pods.containers(pod, "containers"):
        environment = _environment(pod, container)
        if _CONTEXT in written.get(name, ()) and (job := _parent_job(environment.get(_CONTEXT, ""))) is not None:
            return job
        workload = workload_of(pod)
        own_name = workload.name if workload else pods.text(pod, "metadata", "name")
        if _NAMESPACE in written.get(name, ()) and fallback is None:
            fallback = _job(environment.get(_NAMESPACE, ""), own_name)
    return fallback


def _job_of_sidecar(pod: Document) -> JobName | None:
    for _, name, container in pods.containers(pod, "initContainers"):
        if name == pods.SIDECAR_NAME:
            environment = _environment(pod, container)
            names = (SidecarVariable.JOB_NAMESPACE, SidecarVariable.JOB_NAME)
            return _job(*(environment.get(name, "") for name in names))
    return None


def _events(pod: Document, run: _Run) -> tuple[bytes, bytes]:
    """START and end."""
    ending, where = run.ending, _pod_facet(pod)
    facets = {**run.facets, "floe_pod": where | _how(ending, run.attempt)}
    if ending.state is not End.COMPLETE:
        error = {"message": _sentence(ending), "programmingLanguage": "UNKNOWN"}
        facets["errorMessage"] = _facet(_ERROR_FACET) | error
    return (
        _event(pod, run, "START", ending.started_at, {**run.facets, "floe_pod": where}),
        _event(pod, run, ending.state, ending.finished_at, facets),
    )


def _event(pod: Document, run: _Run, event_type: str, at: datetime, facets: Mapping[str, Any]) -> bytes:
    is_service = pods.text(pod, "spec", "restartPolicy") == "Always"
    job_type = {
        **_facet(_JOB_TYPE_FACET),
        "processingType": "SERVICE" if is_service else "BATCH",
        "integration": "KUBERNETES",
        "jobType": "POD",
    }
    document = {
        "eventTime": at.isoformat().replace("+00:00", "Z"),
        "eventType": event_type,
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA,
        "run": {"runId": str(run.id), "facets": facets},
        "job": {"namespace": run.job.namespace, "name": run.job.name, "facets": {"jobType": job_type}},
        "inputs": [],
        "outputs": [],
    }
    return orjson.dumps(document)


def _pod_facet(pod: Document) -> dict[str, Any]:
    """Where it ran: names, images and resources, as they stand in the pod; nothing of its environment."""
    metadata, spec = pods.mapping(pod, "metadata"), pods.mapping(pod, "spec")
    owner = workload_of(pod)
    found: dict[str, Any] = {
        **_facet(_POD_FACET),
        "namespace": pods.text(metadata, "namespace"),
        "name": pods.text(metadata, "name"),
        "node": pods.text(spec, "nodeName"),
        "containers": [
            {
                "name": name,
                "image": pods.text(container, "image"),
                "resources": dict(pods.mapping(container, "resources")),
            }
            for _, name, container in pods.containers(pod, "containers")
        ],
    }
    if owner is not None:
        found["owner"] = {"kind": owner.kind, "name": owner.name}
    return {key: value for key, value in found.items() if value}


def _how(ending: Ending, attempt: int | None) -> dict[str, Any]:
    found = {
        "durationSeconds": (ending.finished_at - ending.started_at).total_seconds(),
        "attempt": attempt,
        "container": ending.container or None,
        "exitCode": ending.exit_code,
        "reason": ending.cause or None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _sentence(ending: Ending) -> str:
    if not ending.container:
        return f"The pod was ended: {ending.cause or 'Failed'}."
    return f"Container {ending.container} ended with exit code {ending.exit_code}: {ending.cause}."


def _facet(schema: str) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": schema}


def _written(pod: Document) -> Mapping[str, frozenset[str]]:
    """Names of the variables that the webhook wrote, by container."""
    found: dict[str, frozenset[str]] = {}
    for group in pods.entries(record_of(pod) or {}, "environment"):
        variables = frozenset(name for name in pods.entries(group, "variables") if isinstance(name, str))
        for container in pods.entries(group, "containers"):
            if isinstance(container, str):
                found[container] = variables
    return found


def _environment(pod: Document, container: Document) -> Mapping[str, str]:
    """The variables that the pod's document tells, expanded as the kubelet does it."""
    known: dict[str, str] = {}
    for _, name, entry in pods.environment_of(container):
        path = pods.text(entry, "valueFrom", "fieldRef", "fieldPath")
        if path.startswith("metadata."):
            known[name] = pods.text(pod, *path.split("."))
        elif "valueFrom" not in entry:
            known[name] = _expanded(pods.text(entry, "value"), known)
    return known


def _expanded(text: str, known: Mapping[str, str]) -> str:
    return _EXPANSION.sub(lambda match: "$" if match[1] == "$" else known.get(match[2], match[0]), text)


def _parent_job(context: str) -> JobName | None:
    try:
        document = orjson.loads(context)
    except orjson.JSONDecodeError:
        return None
    job = pods.mapping(document, "parent", "job")
    return _job(pods.text(job, "namespace"), pods.text(job, "name"))


def _job(namespace: str, name: str) -> JobName | None:
    if not namespace or not name or len(namespace) + len(name) > _LONGEST_NAME:
        return None
    return JobName(namespace, name)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
