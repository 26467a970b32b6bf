"""Builders of pods as they stand in the API when they have ended: injected, with a status that a kubelet wrote."""

from collections.abc import Mapping
from typing import Any

import jsonpatch

from floe_webhook.pod import Document
from webhook.tests.builders import injected, owner, pod

UID = "4f6f1f0a-7a0e-4d52-9d5c-2f4e5b3b6d11"
CREATED, STARTED, FINISHED = "2026-11-21T10:00:00Z", "2026-11-21T10:00:05Z", "2026-11-21T10:02:05Z"
JOB = owner("Job", "load-29391840")


def terminated(code: int, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    """A container's `terminated` state."""
    told = reason or ("Completed" if code == 0 else "Error")
    return {"exitCode": code, "reason": told, "startedAt": STARTED, "finishedAt": FINISHED, **fields}


def status_of(name: str, state: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """An entry of `containerStatuses`."""
    return {"name": name, "state": {"terminated": dict(state)}, "restartCount": 0, **fields}


def ended(
    *containers: Mapping[str, Any],
    phase: str = "Succeeded",
    metadata: Mapping[str, Any] | None = None,
    status: Mapping[str, Any] | None = None,
    owned_by: Mapping[str, Any] | None = JOB,
    report: str | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """An injected pod of a Job that has ended; `report` is its sidecar's termination message."""
    document: dict[str, Any] = pod(owned_by=owned_by, restartPolicy=spec.pop("restartPolicy", "Never"), **spec)
    document = jsonpatch.apply_patch(document, injected(document).operations)
    document["metadata"] |= {"namespace": "sales", "uid": UID, "creationTimestamp": CREATED, **(metadata or {})}
    sidecar = status_of("floe-sidecar", terminated(0) | ({} if report is None else {"message": report}))
    document["status"] = {
        "phase": phase,
        "startTime": CREATED,
        "containerStatuses": [dict(one) for one in containers or [status_of("app", terminated(0))]],
        "initContainerStatuses": [sidecar],
        **(status or {}),
    }
    return document


def unnamed(document: dict[str, Any]) -> dict[str, Any]:
    """The same pod as it looks if it was told nothing of lineage."""
    del document["metadata"]["annotations"]["floe.dev/injection"]
    return by_an_older_webhook(document)


def by_an_older_webhook(document: dict[str, Any]) -> dict[str, Any]:
    """The same pod as a webhook made it that told sidecars nothing of their pods."""
    (sidecar,) = document["spec"]["initContainers"]
    sidecar["env"] = [entry for entry in sidecar["env"] if "_JOB_" not in entry["name"]]
    return document


def without_context(document: Document) -> Document:
    """The same pod as it looks if its user names the parent run."""
    containers = document["spec"]["containers"]
    for container in containers:
        container["env"] = [entry for entry in container["env"] if entry["name"] != "OPENLINEAGE_CONTEXT"]
    return document
