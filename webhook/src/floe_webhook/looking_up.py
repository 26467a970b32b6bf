"""What is found out from the cluster, put together: for each admission, and all the time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from floe_certs.kubernetes import Request
from floe_webhook.announcements import Announcer
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.cluster.nodes import KubernetesVersions
from floe_webhook.cluster.probe_pods import ProbePods
from floe_webhook.cluster.sidecar_health import SidecarHealth
from floe_webhook.cluster.sidecar_probe import SidecarProbe
from floe_webhook.cluster.surroundings import ClusterSurroundings
from floe_webhook.leading import Duty
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.lookups import Lookup, LookupSettings
from floe_webhook.reload import CurrentProfile


@dataclass(slots=True)
class LookingUp:
    """The parts that are switched on.

    Attributes:
        surroundings: Asked for each admission; None if nothing is switched on, so that it costs nothing then.
        duties: For the replica that leads.
        followers: For every replica.
    """

    surroundings: ClusterSurroundings | None = None
    duties: dict[str, Duty] = field(default_factory=dict)
    followers: dict[str, Duty] = field(default_factory=dict)
    versions: KubernetesVersions | None = None
    health: SidecarHealth | None = None

    def details(self) -> Mapping[str, Any]:
        """For `/readyz`."""
        parts = {"kubernetes": self.versions, "sidecar": self.health}
        return {name: part.details() for name, part in parts.items() if part is not None}

    def native_sidecars(self) -> bool:
        """Whether the cluster keeps native sidecars, as far as is known."""
        return self.versions is None or self.versions.versions.native_sidecars

    def sidecar_starts(self, namespace: str) -> bool:
        """Whether the sidecar's image starts in a namespace, as far as is known."""
        return self.health is None or self.health.starts_in(namespace)


def looking_up(
    settings: LookupSettings,
    api: KubernetesApi,
    profile: CurrentProfile,
    metrics: LookupMetrics,
    *,
    creating: Request,
    announcer: Announcer,
) -> LookingUp:
    """Puts the parts together.

    Args:
        settings: What is switched on.
        api: Asks the API server.
        profile: The one in force.
        metrics: Count what is asked, and take what is known.
        creating: Sends requests; what it creates belongs to the release.
        announcer: Is told that the sidecar does not start.
    """
    found = LookingUp()
    if Lookup.NATIVE_SIDECARS in settings.enabled or settings.oldest_kubelet:
        found.versions = KubernetesVersions(
            api,
            metrics,
            release_namespace=settings.namespace if Lookup.NATIVE_SIDECARS in settings.enabled else None,
            oldest_kubelet=settings.oldest_kubelet,
        )
        found.followers["kubernetes versions"] = found.versions
    if Lookup.SIDECAR_HEALTH in settings.enabled:
        name = f"{settings.deployment or 'floe-webhook'}-probe"
        probes = ProbePods(api, settings.namespace, name) if settings.namespace else None
        found.health = found.followers["sidecar health"] = SidecarHealth(api, profile, metrics, probes=probes)
        if probes is not None:
            found.duties["sidecar probe"] = SidecarProbe(
                api,
                creating,
                found.health,
                profile,
                announcer,
                probes=probes,
                deployment=settings.deployment,
            )
    if settings.enabled or found.versions is not None:
        found.surroundings = ClusterSurroundings(
            api,
            settings,
            metrics,
            native_sidecars=found.native_sidecars,
            sidecar_starts=found.sidecar_starts,
            first_looks=[part.looked for part in (found.versions, found.health) if part is not None],
        )
    return found
