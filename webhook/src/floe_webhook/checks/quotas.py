"""Whether the namespaces leave room for the sidecar: quotas and limit ranges, as the webhook itself looks at them."""

from collections.abc import Mapping
from functools import partial

from floe_webhook.checks.cluster import Cluster, MissingError, Namespace
from floe_webhook.checks.results import Check, Finding, counted, or_ok, warning
from floe_webhook.namespace_limits import NamespaceLimits, limits_of, refusal
from floe_webhook.pod import Document
from floe_webhook.profile import Profile
from floe_webhook.sidecar_container import sidecar_container

_CHECK = Check.QUOTAS

# The least that a pod can ask for: what does not fit beside it, fits beside none.
_LEAST = {"cpu": "1m", "memory": "1Mi"}
_LEAST_POD: Document = {
    "spec": {"containers": [{"name": "app", "resources": {"requests": _LEAST, "limits": _LEAST}}]},
}


def judge_quotas(profile: Profile, limits: Mapping[str, NamespaceLimits]) -> list[Finding]:
    """Whether a small pod could have the sidecar in each namespace now; if not it would get environment only."""
    if profile.sidecar is None:
        raise MissingError("The manifest has no sidecar, so there is nothing that needs room.")
    sidecar = sidecar_container(_LEAST_POD, profile.sidecar, profile.rules.ports)
    found = [
        warning(_CHECK, f"New pods in {namespace} get environment only: {reason.sentence}", reason.remedy)
        for namespace, of_namespace in limits.items()
        if (reason := refusal(_LEAST_POD["spec"], sidecar, of_namespace)) is not None
    ]
    return or_ok(found, _CHECK, f"Quotas and limits leave room for the sidecar in {counted(len(limits), 'namespace')}.")


async def quotas(cluster: Cluster) -> list[Finding]:
    """Reads the quotas and limit ranges of the namespaces that opted in."""
    profile = (await cluster.platform()).profile
    limits = await cluster.each(partial(_limits_in, cluster))
    names = [namespace.name for namespace in await cluster.opted_in()]
    return judge_quotas(profile, dict(zip(names, limits, strict=True)))


async def _limits_in(cluster: Cluster, namespace: Namespace) -> NamespaceLimits:
    path = f"/api/v1/namespaces/{namespace.name}"
    found = [one async for page in cluster.api.pages(f"{path}/resourcequotas") for one in page]
    ranges = [one async for page in cluster.api.pages(f"{path}/limitranges") for one in page]
    return limits_of(found, ranges)
