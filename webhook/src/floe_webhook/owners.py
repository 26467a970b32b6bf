"""Who made a pod, read off its metadata without asking the API server (injection.md §2.3)."""

import re
from typing import NamedTuple

from floe_webhook.pod import Document, entries, labels, mapping, text

_SUFFIX_OF_CRON_JOB = re.compile(r"(.+)-([0-9]{8})")

# The CronJob controller names a Job by the minute since 1970 it was due. Between 2020 and 2060 that number lies between
# these two; a date such as 20240101, which people write into names of Jobs, never does.
_FIRST_MINUTE = 26_297_280
_LAST_MINUTE = 47_335_680


class Owner(NamedTuple):
    """The workload that a pod belongs to, and what stands between the two.

    Attributes:
        kind: Kind of the workload, e.g. `CronJob` or `AirflowTask`.
        name: Its name.
        through: The direct owner, as (kind, name), where that is another one: a ReplicaSet or a Job.
    """

    kind: str
    name: str
    through: tuple[str, str] | None = None


def workload_of(pod: Document, known: Owner | None = None) -> Owner | None:
    """What a pod's work is called from one run to the next.

    Airflow, Dagster and Spark make pods and Jobs with names that no other run has; what stays the same they put into
    labels. A `service.name` or a lineage namespace for each run would be of no use to anybody.

    Args:
        pod: The raw pod or pod template.
        known: The owner, where the caller knows it; otherwise it is read off the pod.
    """
    owner = known or owner_of(pod)
    found = labels(pod)
    dag, task = text(found, "dag_id"), text(found, "task_id")
    names = {
        "AirflowTask": f"{dag}.{task}" if dag and task else "",
        "DagsterJob": text(found, "dagster/job"),
        "SparkApplication": text(found, "spark-app-name"),
    }
    for kind, name in names.items():
        if name and (owner is None or owner.kind == "Job"):
            return Owner(kind, name, (owner.kind, owner.name) if owner else None)
    return owner


def owner_of(pod: Document) -> Owner | None:
    """The workload that a pod's controlling owner reference leads to; None for a pod that nothing controls."""
    for reference in entries(mapping(pod, "metadata"), "ownerReferences"):
        kind, name = text(reference, "kind"), text(reference, "name")
        if kind and name and mapping(reference).get("controller") is True:
            return _workload(kind, name, labels(pod))
    job = text(labels(pod), "batch.kubernetes.io/job-name")
    return _workload("Job", job, labels(pod)) if job else None


def _workload(kind: str, name: str, pod_labels: Document) -> Owner:
    if kind == "ReplicaSet":
        for label, parent in (("pod-template-hash", "Deployment"), ("rollouts-pod-template-hash", "Rollout")):
            suffix = f"-{text(pod_labels, label)}"
            if len(suffix) > 1 and name.endswith(suffix) and name != suffix:
                return Owner(parent, name.removesuffix(suffix), (kind, name))
    if kind == "Job":
        match = _SUFFIX_OF_CRON_JOB.fullmatch(name)
        if match and _FIRST_MINUTE <= int(match[2]) <= _LAST_MINUTE:
            return Owner("CronJob", match[1], (kind, name))
    if kind == "ReplicationController" and (config := text(pod_labels, "deploymentconfig")):
        return Owner("DeploymentConfig", config, (kind, name))
    return Owner(kind, name)
