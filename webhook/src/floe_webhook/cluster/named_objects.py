"""Names of the keys of one ConfigMap or Secret; values are dropped as soon as the answer has been read.

Only objects that a pod names are asked for, each by its name: no list and no watch, so the right to `get` is enough.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.pod import mapping


class Resource(StrEnum):
    """What has keys; the value is its name in a path."""

    CONFIG_MAP = "configmaps"
    SECRET = "secrets"  # noqa: S105 - a resource's name


@dataclass(frozen=True, slots=True)
class Named:
    """One object.

    Attributes:
        keys: Names under `data`, which are what `envFrom` and `secretKeyRef` see.
    """

    exists: bool
    keys: frozenset[str] = field(default=frozenset())


@dataclass(frozen=True, slots=True)
class Reference:
    """Which object."""

    resource: Resource
    namespace: str
    name: str


async def named(api: KubernetesApi, reference: Reference, *, timeout_seconds: float) -> Named:
    """What there is under a name.

    Raises:
        UnreachableError: There is no answer in time.
        RefusedError: It may not be read.
    """
    path = f"/api/v1/namespaces/{reference.namespace}/{reference.resource}/{reference.name}"
    document = await api.read(path, timeout_seconds=timeout_seconds)
    if document is None:
        return Named(exists=False)
    return Named(exists=True, keys=frozenset(mapping(document, "data")))
