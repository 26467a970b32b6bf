"""A namespace's ResourceQuotas and LimitRanges, as they are at the moment."""

import asyncio

from floe_webhook.cluster.api import Document, KubernetesApi
from floe_webhook.namespace_limits import NamespaceLimits, limits_of
from floe_webhook.pod import entries

MOST = 100
"""Of each kind that are looked at. A namespace has a few; the API server itself decides by all of them."""


async def limits(api: KubernetesApi, namespace: str, *, timeout_seconds: float) -> NamespaceLimits:
    """What bounds the pods of a namespace.

    Raises:
        UnreachableError: There is no answer in time.
        RefusedError: Either may not be listed.
    """
    found = await asyncio.gather(
        *(_listed(api, namespace, resource, timeout_seconds) for resource in ("resourcequotas", "limitranges")),
        return_exceptions=True,
    )
    quotas, ranges = (_unless_failed(one) for one in found)
    return limits_of(entries(quotas, "items"), entries(ranges, "items"))


async def _listed(api: KubernetesApi, namespace: str, resource: str, timeout_seconds: float) -> Document | None:
    path = f"/api/v1/namespaces/{namespace}/{resource}"
    return await api.read(path, query={"limit": str(MOST)}, timeout_seconds=timeout_seconds)


def _unless_failed(answer: Document | BaseException | None) -> Document | None:
    if isinstance(answer, BaseException):
        raise answer
    return answer
