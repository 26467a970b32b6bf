"""What a sidecar is told about its pod, and what it adds to the pod's events (docs/lineage-in-pods.md).

The webhook knows these at admission; what only the kubelet knows comes by the downward API. Without them a sidecar
adds nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PodSettings:
    """The pod that the sidecar runs in; a variable that is unset or empty leaves the default."""

    pod_namespace: str = ""
    """The pod's namespace in Kubernetes. Default: not known."""

    pod_name: str = ""
    """The pod's name. Default: not known."""

    pod_uid: str = ""
    """The pod's UID, which is the id of its own run. Default: not known; no parent is given and no run begun."""

    node_name: str = ""
    """The node that the pod runs on. Default: not known."""

    pod_owner: str = ""
    """The workload that the pod belongs to, as `Kind/name`. Default: nobody's."""

    pod_containers: Mapping[str, str] = field(default_factory=dict)
    """The application's containers with their images, `name=image,…`, percent-encoded. Default: not known."""

    job_namespace: str = ""
    """Job namespace of the pod's own run. Default: not known; no parent is given and no run begun."""

    job_name: str = ""
    """Job of the pod's own run. Default: not known; no parent is given and no run begun."""

    processing_type: str = "BATCH"
    """`BATCH`, or `SERVICE` for a pod that is to run for ever. Default BATCH."""

    pod_run: bool = False
    """Whether the pod's own run is begun by a START of the sidecar's (`true` or `false`). Default false.

    Only where somebody ends it: the webhook's leader (docs/pod-runs.md).
    """

    add_parent: bool = True
    """Whether a run without a parent gets the pod's run as its parent (`true` or `false`). Default true."""

    add_pod: bool = True
    """Whether runs get the facet `floe_pod`: where they ran (`true` or `false`). Default true."""

    add_trace_context: bool = True
    """Whether runs get the facet `floe_traceContext` of the request that brought them (`true` or `false`).

    Default true.
    """

    traceparent: str = ""
    """The application's TRACEPARENT, for requests without such a header. Default: none."""

    replaced_namespaces: tuple[str, ...] = ()
    """Job namespaces in whose place the pod's is put, `name,…`, percent-encoded. Default: none is replaced.

    They are what clients say that were told none; a namespace that somebody chose is none of them.
    """

    run_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of each run, `key=value,…`, percent-encoded. Default: none."""

    job_tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of each job, `key=value,…`, percent-encoded. Default: none."""

    environment_variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables of the application that each run is told with, `name=value,…`, percent-encoded. Default: none."""

    enrichment_max_bytes: int = 8192
    """Bytes that are added to an event at most (bytes; `Ki`, `Mi`, `Gi` allowed); whole facets stay out. Default 8 KiB.

    A trace context and the pod's namespace in the place of another do not count.
    """
