"""The facets that the sidecar writes: ours with their schemas (docs/spec/facets), the standard's with the standard's.

| facet | of | says |
|---|---|---|
| `floe_pod` | run | where it ran: namespace, pod, node, owner, containers with their images |
| `floe_traceContext` | run | the W3C trace context in which the event was sent |
| `parent` | run | the pod's own run |
| `tags` | run, job | the platform's tags |
| `environmentVariables` | run | variables of the application that the platform names |
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from floe_sidecar.runs import PRODUCER
from floe_sidecar.settings.pod import PodSettings

POD = "https://floe.dev/spec/facets/1-0-0/PodRunFacet.json#/$defs/PodRunFacet"
TRACE_CONTEXT = "https://floe.dev/spec/facets/1-0-0/TraceContextRunFacet.json#/$defs/TraceContextRunFacet"
PARENT = "https://openlineage.io/spec/facets/1-2-0/ParentRunFacet.json#/$defs/ParentRunFacet"
JOB_TYPE = "https://openlineage.io/spec/facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet"
RUN_TAGS = "https://openlineage.io/spec/facets/1-0-0/TagsRunFacet.json#/$defs/TagsRunFacet"
JOB_TAGS = "https://openlineage.io/spec/facets/1-0-0/TagsJobFacet.json#/$defs/TagsJobFacet"
ENVIRONMENT = (
    "https://openlineage.io/spec/facets/1-0-0/EnvironmentVariablesRunFacet.json#/$defs/EnvironmentVariablesRunFacet"
)

_SOURCE = "FLOE"
# W3C Trace Context, level 1: a later version may have more behind the flags; zeros and the version ff are invalid.
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-[0-9A-Za-z._~-]{1,128})?"
)


def pod_facet(pod: PodSettings) -> dict[str, object]:
    """Where a run ran; what is not known is left out. The webhook's leader tells the same at the pod's end."""
    kind, _, name = pod.pod_owner.partition("/")
    found = {
        "namespace": pod.pod_namespace,
        "name": pod.pod_name,
        "node": pod.node_name,
        "owner": {"kind": kind, "name": name} if name else None,
        "containers": [{"name": container, "image": image} for container, image in pod.pod_containers.items()],
    }
    return facet(POD, {key: value for key, value in found.items() if value})


def trace_context_facet(traceparent: str) -> bytes | None:
    """The trace context of a request as JSON; None if the text is none."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match[1] == "00" and len(traceparent) > _LENGTH_OF_VERSION_00):
        return None
    # No character of it needs escaping.
    return _TRACE_CONTEXT % tuple(text.encode() for text in (traceparent, match[2], match[3], match[4]))


_LENGTH_OF_VERSION_00 = 55
_TRACE_CONTEXT = b'"floe_traceContext":' + msgspec.json.encode(
    {
        "_producer": PRODUCER,
        "_schemaURL": TRACE_CONTEXT,
        "traceparent": "%b",
        "traceId": "%b",
        "spanId": "%b",
        "traceFlags": "%b",
    }
)


def parent_facet(pod: PodSettings) -> dict[str, object]:
    """The pod's own run, which is its own root."""
    own = {"run": {"runId": pod.pod_uid}, "job": {"namespace": pod.job_namespace, "name": pod.job_name}}
    return facet(PARENT, {**own, "root": own})


def job_type_facet(pod: PodSettings) -> dict[str, object]:
    """A pod's run as a job: of its own kind, and endless if it is to run for ever."""
    return facet(JOB_TYPE, {"processingType": pod.processing_type, "integration": "KUBERNETES", "jobType": "POD"})


def tags(given: Mapping[str, str]) -> list[dict[str, str]]:
    """The platform's tags as a tags facet lists them."""
    return [{"key": key, "value": value, "source": _SOURCE} for key, value in given.items()]


def variables(given: Mapping[str, str]) -> list[dict[str, str]]:
    """Variables as an environment facet lists them."""
    return [{"name": name, "value": value} for name, value in given.items()]


def facet(schema: str, members: Mapping[str, object]) -> dict[str, object]:
    """A facet with what each has."""
    return {"_producer": PRODUCER, "_schemaURL": schema, **members}
