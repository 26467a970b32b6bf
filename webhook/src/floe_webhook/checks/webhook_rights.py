"""What the webhook's service account has to be allowed, by what its Deployment switches on (docs/rbac.md)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster
from floe_webhook.checks.installation import Names
from floe_webhook.checks.results import Check, Finding, failed, or_ok, warning
from floe_webhook.checks.rights import Account, Right, denied
from floe_webhook.pod import Document

_CHECK = Check.WEBHOOK_RIGHTS
_REMEDY = "Run `helm upgrade`: the chart has the roles; docs/rbac.md has each right and what is assumed without it."
_CONFIGURATIONS = "mutatingwebhookconfigurations.admissionregistration.k8s.io"


@dataclass(frozen=True, slots=True)
class Objects:
    """The named objects that rights are about."""

    names: Names
    secret: str

    @property
    def own(self) -> str:
        """The release's namespace."""
        return self.names.namespace


def of_the_webhook(objects: Objects) -> list[Right]:
    """What nothing works without."""
    own, webhook, configuration = objects.own, objects.names.webhook, objects.names.configuration
    return [
        Right("get", "secrets", own, objects.secret, "no replica has a certificate"),
        Right("get", "leases.coordination.k8s.io", own, webhook, "no replica leads"),
        Right("patch", "leases.coordination.k8s.io", own, webhook, "no replica leads"),
        Right("get", _CONFIGURATIONS, name=configuration, why="no replica becomes ready"),
        Right("patch", _CONFIGURATIONS, name=configuration, why="the API server is not told whom to trust"),
    ]


FEATURES: Mapping[str, tuple[str, Callable[[Objects], list[Right]]]] = {
    "--certificates=own": (
        "certificates.source: own",
        lambda objects: [Right("patch", "secrets", objects.own, objects.secret)],
    ),
    "--lookup=native-sidecars": (
        "rbac.nativeSidecars",
        lambda objects: [Right("create", "podtemplates", objects.own), Right("list", "nodes")],
    ),
    "--lookup=sidecar-health": (
        "rbac.sidecarHealth",
        lambda objects: [
            *(Right(verb, "pods", objects.own) for verb in ("create", "delete")),
            Right("get", "deployments.apps", objects.own, objects.names.webhook),
            Right("list", "pods"),
        ],
    ),
    "--lookup=quotas": (
        "rbac.quotas",
        lambda _: [Right("list", "resourcequotas"), Right("list", "limitranges")],
    ),
    "--lookup=env-from": ("rbac.envFrom", lambda _: [Right("get", "configmaps"), Right("get", "secrets")]),
    "--lookup=secrets": ("rbac.secrets", lambda _: [Right("get", "secrets")]),
    "--lookup=owners": ("rbac.owners", lambda _: [Right("get", "replicasets.apps"), Right("get", "jobs.batch")]),
    "--follow=events": (
        "rbac.events",
        lambda objects: [
            *(Right(verb, "events") for verb in ("create", "patch")),
            *(Right("get", owner) for owner in ("replicasets.apps", "jobs.batch")),
            Right("get", "deployments.apps", objects.own, objects.names.webhook),
        ],
    ),
    "--follow=missed-pods": (
        "rbac.missedPods",
        lambda _: [Right("list", "pods"), Right("get", "pods"), Right("list", "namespaces")],
    ),
    "--follow=ended-pods": (
        "rbac.endedPods",
        lambda objects: [
            Right("list", "pods"),
            Right("watch", "pods"),
            *(Right(verb, "configmaps", objects.own, f"{objects.names.webhook}-progress") for verb in ("get", "patch")),
        ],
    ),
    "--evict-per-round": ("rbac.eviction", lambda _: [Right("create", "pods/eviction")]),
}
"""What the Deployment's arguments switch on: the chart's value, and the rights that it needs."""


def features_of(deployment: Document) -> list[str]:
    """The keys of `FEATURES` that a Deployment's arguments switch on."""
    containers = pods.entries(pods.mapping(deployment, "spec", "template", "spec"), "containers")
    arguments = [str(argument) for container in containers[:1] for argument in pods.entries(container, "args")]
    return [
        feature for feature in FEATURES if any(one == feature or one.startswith(f"{feature}=") for one in arguments)
    ]


def judge_webhook_rights(
    account: Account, needed: Sequence[Right], by_feature: Mapping[str, Sequence[Right]]
) -> list[Finding]:
    """What the service account may not do: of what nothing works without, and of each value that is switched on."""
    found = [failed(_CHECK, f"{account} may not {right}: {right.why}.", _REMEDY) for right in needed]
    for value, rights in by_feature.items():
        if rights:
            listed = ", ".join(map(str, rights))
            found.append(warning(_CHECK, f"{value} is switched on, but {account} may not {listed}.", _REMEDY))
    return or_ok(found, _CHECK, f"{account} has every right that its Deployment uses.")


async def webhook_rights(cluster: Cluster) -> list[Finding]:
    """Asks about the webhook's service account."""
    names, deployment = await cluster.names(), await cluster.deployment() or {}
    objects, account = Objects(names, await cluster.secret_name()), Account(names.namespace, names.webhook)
    by_feature = {
        value: await denied(cluster, rights(objects), account)
        for value, rights in (FEATURES[feature] for feature in features_of(deployment))
    }
    return judge_webhook_rights(account, await denied(cluster, of_the_webhook(objects), account), by_feature)
