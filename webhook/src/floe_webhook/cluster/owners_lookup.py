"""What a Job or a ReplicaSet belongs to, asked of the API server where names and labels do not tell.

A Job that somebody has started by hand from a CronJob, or a ReplicaSet whose labels were changed, says it in its owner
reference alone. Only metadata are asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from floe_webhook.cluster.api import METADATA_OF_ONE, KubernetesApi
from floe_webhook.owners import Owner, workload_of
from floe_webhook.pod import Document, entries, mapping, text

_PATHS: Mapping[tuple[str, str], str] = {
    ("apps/v1", "ReplicaSet"): "/apis/apps/v1/namespaces/{namespace}/replicasets/{name}",
    ("batch/v1", "Job"): "/apis/batch/v1/namespaces/{namespace}/jobs/{name}",
}
"""What may stand between a pod and its workload; the operators that own other kinds are not asked for."""

_WORKLOADS = frozenset({"CronJob", "Deployment", "Rollout"})
"""What keeps its name from run to run. An operator that makes a Job for each run may have a new name for each, too."""


@dataclass(frozen=True, slots=True)
class Direct:
    """A pod's controlling owner: what would have to be asked for."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


def unclear(pod: Document, namespace: str) -> Direct | None:
    """The owner that has to be asked for; None if the pod's metadata tell its workload."""
    owner = workload_of(pod)
    if owner is None or owner.through is not None:
        return None
    for reference in entries(mapping(pod, "metadata"), "ownerReferences"):
        direct = Direct(
            text(reference, "apiVersion"),
            text(reference, "kind"),
            namespace,
            text(reference, "name"),
            text(reference, "uid"),
        )
        if mapping(reference).get("controller") is True and (direct.api_version, direct.kind) in _PATHS:
            return direct
    return None


async def confirmed(api: KubernetesApi, direct: Direct, *, timeout_seconds: float) -> Owner:
    """The workload: the owner's own controlling owner, or the owner itself.

    Raises:
        UnreachableError: There is no answer in time.
        RefusedError: It may not be read.
    """
    itself = Owner(direct.kind, direct.name)
    path = _PATHS[direct.api_version, direct.kind].format(namespace=direct.namespace, name=direct.name)
    document = await api.read(path, accept=METADATA_OF_ONE, timeout_seconds=timeout_seconds)
    metadata = mapping(document, "metadata")
    if text(metadata, "uid") != direct.uid:
        return itself  # it is gone, or another one has taken its name
    for reference in entries(metadata, "ownerReferences"):
        kind, name = text(reference, "kind"), text(reference, "name")
        if kind in _WORKLOADS and name and mapping(reference).get("controller") is True:
            return Owner(kind, name, (direct.kind, direct.name))
    return itself
