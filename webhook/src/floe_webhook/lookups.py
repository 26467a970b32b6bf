"""What the webhook may ask the cluster for, one by one: which right each needs, and what is assumed without it.

Nothing is asked unless it is switched on (`--lookup`), because each needs a right that an administrator has to grant.
"""

from dataclasses import dataclass
from enum import StrEnum


class Lookup(StrEnum):
    """Something to ask the cluster for; the value is what `--lookup` takes."""

    NATIVE_SIDECARS = "native-sidecars"
    SIDECAR_HEALTH = "sidecar-health"
    QUOTAS = "quotas"
    ENV_FROM = "env-from"
    SECRETS = "secrets"
    OWNERS = "owners"

    @property
    def purpose(self) -> str:
        """What it is good for."""
        return _TEXTS[self][0]

    @property
    def rights(self) -> tuple[str, ...]:
        """What has to be granted, as `verb resource`; in the release's namespace alone where that is said."""
        return _TEXTS[self][1]

    @property
    def assumed(self) -> str:
        """What holds while there is no answer."""
        return _TEXTS[self][2]


class Result(StrEnum):
    """What came of asking."""

    ANSWERED = "answered"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    LATE = "late"


class Assumed(StrEnum):
    """What may not be known of the cluster's versions, and is assumed then."""

    API_SERVER = "api_server"
    OLDEST_KUBELET = "oldest_kubelet"
    KEEPS_NATIVE_SIDECARS = "keeps_native_sidecars"


BUDGET_SECONDS = 0.2
"""For all that one admission asks for; the API server waits for each admission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupSettings:
    """What is asked for, and how long an answer holds.

    Attributes:
        enabled: What may be asked for at all.
        namespace: The release's own.
        deployment: The webhook's own, on which people are told that the sidecar does not start.
        budget_seconds: For all that one admission asks for, together.
        oldest_kubelet: The version of the oldest kubelet, where nodes cannot be listed; None asks.
        quotas_seconds: How long it holds that a namespace has no quota and no limit range.
        quotas_left_seconds: How long it holds what its quotas have left; short, because every pod takes some of it.
        keys_seconds: How long the keys of a ConfigMap or Secret hold.
        owners_seconds: How long an owner holds; it never changes, so only memory bounds this.
        unanswered_seconds: How long nobody is asked again what was not answered.
    """

    enabled: frozenset[Lookup] = frozenset()
    namespace: str | None = None
    deployment: str | None = None
    budget_seconds: float = BUDGET_SECONDS
    oldest_kubelet: str | None = None
    quotas_seconds: float = 5.0
    quotas_left_seconds: float = 0.5
    keys_seconds: float = 30.0
    owners_seconds: float = 600.0
    unanswered_seconds: float = 5.0


_TEXTS: dict[Lookup, tuple[str, tuple[str, ...], str]] = {
    Lookup.NATIVE_SIDECARS: (
        "Whether the API server and the oldest kubelet keep native sidecars (Kubernetes 1.29).",
        ("list nodes", "create podtemplates (release namespace, dry run only)"),
        "They do; `--oldest-kubelet` says otherwise.",
    ),
    Lookup.SIDECAR_HEALTH: (
        "Whether the sidecar's image can be pulled and runs.",
        ("list pods", "create, delete pods (release namespace)"),
        "It does.",
    ),
    Lookup.QUOTAS: (
        "Whether the sidecar fits what ResourceQuotas have left and what LimitRanges allow.",
        ("list resourcequotas", "list limitranges"),
        "It fits; reason `limits_unseen` if it was asked for in vain.",
    ),
    Lookup.ENV_FROM: (
        "Which variables a container gets by `envFrom`: names of keys, never values.",
        ("get configmaps", "get secrets"),
        "None of ours; reason `env_from_unseen`.",
    ),
    Lookup.SECRETS: (
        "Whether the Secrets and keys of credentials exist in the pod's namespace.",
        ("get secrets",),
        "They do; a pod starts without them too.",
    ),
    Lookup.OWNERS: (
        "Which CronJob, Deployment or Rollout a Job or ReplicaSet belongs to, where names and labels do not tell.",
        ("get jobs", "get replicasets"),
        "The Job or ReplicaSet itself names the service.",
    ),
}
