"""The record of what was added, which each injected pod carries as an annotation: what takes it out again.

| key           | what                                                                                         |
|---------------|----------------------------------------------------------------------------------------------|
| `format`      | of this record; one that is newer than what is known here is not touched                     |
| `version`     | of the webhook                                                                               |
| `profile`     | which manifest                                                                               |
| `outcome`     | how far                                                                                      |
| `reasons`     | codes                                                                                        |
| `refused`     | annotations that do not count, by the code of the reason; the first ones                     |
| `environment` | variables by containers; containers with the same variables share an entry                   |
| `merged`      | by container, how much of OTEL_RESOURCE_ATTRIBUTES is the user's                              |
| `pullSecrets` | names that were added                                                                        |
| `lists`       | what did not exist before (`created`) or held null, so that taking all out restores the pod  |
"""

import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

from floe_webhook import __version__
from floe_webhook import pod as pods
from floe_webhook.additions import json_text
from floe_webhook.asked import Asked
from floe_webhook.plan import Plan
from floe_webhook.pod import Document

FORMAT = 1

_MOST_REFUSED = 8
"""Named in a record; a client decides how many annotations a pod has."""


def record_of(pod: Document) -> Mapping[str, Any] | None:
    """What the pod's annotation says was added; None if it has none that can be read."""
    try:
        record = json.loads(pods.text(pods.annotations(pod), pods.INJECTION_ANNOTATION))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def is_known(record: Mapping[str, Any]) -> bool:
    """Whether what a record names can be taken out again by this version. The first records named no format."""
    number = record.get("format", 1)
    return isinstance(number, int) and 1 <= number <= FORMAT


def record_text(plan: Plan, profile: str) -> str:
    """The annotation that says what a plan adds.

    Args:
        plan: All of it but the annotations.
        profile: Identity of the manifest.
    """
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    merged: dict[str, int | None] = {}
    for container in plan.containers:
        if variables := container.environment.names:
            groups.setdefault((_state(container.document, "env"), variables), []).append(container.name)
        if container.environment.merge is not None:
            merged[container.name] = container.environment.merge.kept
    record = {
        "format": FORMAT,
        "version": __version__,
        "profile": profile,
        "outcome": plan.decision.outcome,
        "reasons": plan.decision.reasons,
        "refused": _refused(plan.asked),
        "environment": [
            {"containers": names, "variables": variables, "list": state} for (state, variables), names in groups.items()
        ],
        "merged": merged,
        "pullSecrets": [secret["name"] for secret in plan.pull_secrets],
        "lists": _lists(plan),
    }
    return json_text({key: value for key, value in record.items() if value})


def _refused(asked: Asked) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, reason in islice(asked.refused, _MOST_REFUSED):
        found.setdefault(reason.value, []).append(name)
    return found


def _lists(plan: Plan) -> dict[str, str]:
    metadata, spec = pods.mapping(plan.pod, "metadata"), pods.mapping(plan.pod, "spec")
    places = [(plan.pod, "metadata"), (metadata, "labels"), (metadata, "annotations")]
    if plan.sidecar is not None:
        places += [(spec, "initContainers"), (spec, "volumes")]
    if plan.pull_secrets:
        places.append((spec, "imagePullSecrets"))
    # Most are there, and need no second look.
    return {key: _state(document, key) for document, key in places if document.get(key) is None}


def _state(document: Document, key: str) -> str:
    if document.get(key) is not None:
        return "kept"
    return "null" if key in document else "created"
