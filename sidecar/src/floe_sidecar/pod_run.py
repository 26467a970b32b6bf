"""The pod's own run as the sidecar begins it, so that a pod that runs is seen to run (docs/pod-runs.md).

The sidecar sends START and nothing else of it: how the pod ended only the API server knows, and the webhook's leader
sends START again with the end. So that both say the same time, the sidecar writes it into its termination message as
soon as START is durable, which the kubelet reads even if the sidecar is killed.

The time is in whole seconds, as the kubelet's are: a container that ends within the same second ends after it.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from floe_sidecar.facets import job_type_facet
from floe_sidecar.runs import EVENT_SCHEMA, PRODUCER
from floe_sidecar.settings.pod import PodSettings

BEGUN_AT = "pod_run_started_at"
"""The member of the termination message that holds START's time."""


def moment_of(seconds: float) -> str:
    """A time as START and the termination message say it."""
    return dt.datetime.fromtimestamp(int(seconds), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def start(pod: PodSettings, at: float) -> bytes:
    """START of the pod's run, with what its job is; where it runs is added as to every run."""
    document = {
        "eventTime": moment_of(at),
        "eventType": "START",
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA,
        "run": {"runId": pod.pod_uid, "facets": {}},
        "job": {
            "namespace": pod.job_namespace,
            "name": pod.job_name,
            "facets": {"jobType": job_type_facet(pod)},
        },
        "inputs": [],
        "outputs": [],
    }
    return msgspec.json.encode(document)
