"""Whether the cluster is new enough: the API server, the oldest kubelet, the admission API."""

import re
from collections.abc import Mapping, Sequence

from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster
from floe_webhook.checks.results import Check, Finding, failed, ok, or_ok, warning

NATIVE_SIDECARS = (1, 29)
"""The first release with native sidecars on by default (KEP-753)."""

_UPGRADE = "Until it is upgraded, pods get environment only: their telemetry and lineage go past the sidecar."


def judge_versions(server: str, kubelets: Mapping[str, int]) -> list[Finding]:
    """The API server's version, and how many nodes have which kubelet.

    | oldest of both | verdict                   |
    |----------------|---------------------------|
    | 1.29 or newer  | ok                        |
    | older          | warning: environment only |
    """
    check = Check.CLUSTER_VERSION
    old = {version: nodes for version, nodes in kubelets.items() if _release(version) < NATIVE_SIDECARS}
    found = []
    if _release(server) < NATIVE_SIDECARS:
        sentence = f"The API server is {server}; native sidecars need 1.29."
        found.append(warning(check, sentence, f"Upgrade the cluster. {_UPGRADE}"))
    if old:
        listed = ", ".join(f"{nodes} with {version}" for version, nodes in sorted(old.items()))
        sentence = f"Kubelets are too old for native sidecars, which need 1.29: {listed}."
        found.append(warning(check, sentence, f"Upgrade these nodes. {_UPGRADE}"))
    newest = f"The API server is {server}"
    rest = f", the oldest kubelet {min(kubelets, key=_release)}." if kubelets else "; there are no nodes."
    return or_ok(found, check, newest + rest)


def judge_admission_api(resources: Sequence[str]) -> list[Finding]:
    """Whether the API server has webhook configurations, from the names of its admission resources."""
    check = Check.ADMISSION_API
    if "mutatingwebhookconfigurations" in resources:
        return [ok(check, "The API server has admissionregistration.k8s.io/v1.")]
    sentence = "The API server does not serve admissionregistration.k8s.io/v1."
    return [failed(check, sentence, "Use Kubernetes 1.16 or newer with the admission plugin MutatingAdmissionWebhook.")]


async def cluster_version(cluster: Cluster) -> list[Finding]:
    """Asks for both versions."""
    server = pods.text(await cluster.api.read("/version") or {}, "gitVersion")
    kubelets: dict[str, int] = {}
    async for page in cluster.api.pages("/api/v1/nodes"):
        for node in page:
            version = pods.text(node, "status", "nodeInfo", "kubeletVersion")
            kubelets[version] = kubelets.get(version, 0) + 1
    return judge_versions(server, kubelets)


async def admission_api(cluster: Cluster) -> list[Finding]:
    """Asks for the admission API's resources."""
    found = await cluster.api.read("/apis/admissionregistration.k8s.io/v1")
    return judge_admission_api([pods.text(resource, "name") for resource in pods.entries(found or {}, "resources")])


def _release(version: str) -> tuple[int, int]:
    """Major and minor of e.g. `v1.29.3-eks-1234`; (0, 0) for what is no version."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
