"""What only the cluster knows of a pod's surroundings; a value that the decision reads, with nothing known by default.

How it is found out, within which time, and what is assumed while it is not: `floe_webhook.cluster.surroundings`.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from types import MappingProxyType

from floe_webhook.namespace_limits import NamespaceLimits
from floe_webhook.owners import Owner

KnownKeys = Mapping[tuple[str, str], AbstractSet[str]]
"""Keys of ConfigMaps and Secrets, by (`configMapRef` or `secretRef`, name), as far as they are known."""

KnownSecrets = Mapping[str, AbstractSet[str] | None]
"""Keys of Secrets of the pod's namespace by name, None for a Secret that does not exist, as far as they are known."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known beyond the pod itself.

    Attributes:
        native_sidecars: False if the API server, or the oldest kubelet, is known not to keep native sidecars.
        sidecar_starts: False while the sidecar's image is known not to start.
        limits: What bounds the pods of the namespace; None if that is not known.
        limits_unanswered: Whether `limits` were asked for in vain.
        known_keys: Of the sources of `envFrom`.
        secrets: Of the credentials that the pod would refer to.
        owner: The workload, where somebody has confirmed it; otherwise it is read off the pod.
    """

    native_sidecars: bool = True
    sidecar_starts: bool = True
    limits: NamespaceLimits | None = None
    limits_unanswered: bool = False
    known_keys: KnownKeys = field(default_factory=lambda: MappingProxyType({}))
    secrets: KnownSecrets = field(default_factory=lambda: MappingProxyType({}))
    owner: Owner | None = None


NOTHING_KNOWN = Surroundings()
