"""What the cluster knows of a pod that a person asks about: as the webhook finds it out, with the person's rights."""

from prometheus_client import CollectorRegistry

from floe_certs.api import RefusedError
from floe_webhook.checks.cluster import Cluster
from floe_webhook.checks.results import Verdict, worst
from floe_webhook.checks.versions import cluster_version
from floe_webhook.cluster.surroundings import ClusterSurroundings
from floe_webhook.decision import Facts
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.lookups import Lookup, LookupSettings
from floe_webhook.profile import Profile
from floe_webhook.surroundings import Surroundings

_PATIENCE_SECONDS = 5.0
"""A person waits longer than an admission."""

_ASKED = frozenset({Lookup.QUOTAS, Lookup.ENV_FROM, Lookup.SECRETS, Lookup.OWNERS})


async def surroundings_of(cluster: Cluster, facts: Facts, profile: Profile) -> Surroundings:
    """What would be known if the pod were created now; what the person may not read counts as not known."""
    native = await _keeps_native_sidecars(cluster)
    found = ClusterSurroundings(
        cluster.api,
        LookupSettings(enabled=_ASKED, budget_seconds=_PATIENCE_SECONDS),
        LookupMetrics(CollectorRegistry()),
        native_sidecars=lambda: native,
        sidecar_starts=lambda _: True,
    )
    return await found.of(facts, profile)


async def _keeps_native_sidecars(cluster: Cluster) -> bool:
    try:
        return worst(await cluster_version(cluster)) is Verdict.OK
    except RefusedError:
        return True
