"""Rights: those of whoever checks, those of the webhook's service account, those that an installation needs.

The API server answers for each (SelfSubjectAccessReview, SubjectAccessReview); roles are never read, because another
authorizer may grant what no role does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from floe_certs.api import RefusedError
from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster, MissingError
from floe_webhook.checks.installation import Names, names_in
from floe_webhook.checks.results import Check, Finding, failed, or_ok, skipped, warning

_AUTHORIZATION = "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Right:
    """A verb on a resource.

    Attributes:
        verb: As RBAC calls it.
        resource: With its group behind a dot, e.g. `leases.coordination.k8s.io`.
        namespace: Empty for all namespaces and for what has none.
        name: Of one object; empty for all.
        why: What is missing without it.
    """

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""
    why: str = ""

    def __str__(self) -> str:
        """As a person says it."""
        named = f" {self.name}" if self.name else ""
        return f"{self.verb} {self.resource}{named}{f' in {self.namespace}' if self.namespace else ''}"

    @property
    def attributes(self) -> dict[str, str]:
        """`resourceAttributes` of an access review."""
        resource, _, group = self.resource.partition(".")
        resource, _, subresource = resource.partition("/")
        found = {
            "verb": self.verb,
            "group": group,
            "resource": resource,
            "subresource": subresource,
            "namespace": self.namespace,
            "name": self.name,
        }
        return {key: value for key, value in found.items() if value}


def of_the_checks(names: Names, secret: str, namespace: str) -> list[Right]:
    """What `floe check` reads; `namespace` is where it makes its dry run."""
    own = names.namespace
    return [
        Right("get", "mutatingwebhookconfigurations.admissionregistration.k8s.io", name=names.configuration),
        Right("list", "namespaces"),
        Right("list", "nodes"),
        Right("list", "pods"),
        Right("create", "pods", namespace),
        Right("get", "deployments.apps", own, names.webhook),
        Right("get", "configmaps", own, names.manifest),
        Right("get", "secrets", own, secret),
        Right("list", "resourcequotas"),
        Right("list", "networkpolicies.networking.k8s.io"),
        Right("create", "subjectaccessreviews.authorization.k8s.io"),
    ]


def of_the_webhook(names: Names, secret: str) -> list[Right]:
    """What the webhook's service account cannot do without (docs/certificates.md); `secret` has the certificates."""
    own, configurations = names.namespace, "mutatingwebhookconfigurations.admissionregistration.k8s.io"
    return [
        Right("get", "secrets", own, secret, "no replica has a certificate"),
        Right("get", "leases.coordination.k8s.io", own, names.webhook, "no replica leads"),
        Right("patch", "leases.coordination.k8s.io", own, names.webhook, "no replica leads"),
        Right("get", configurations, name=names.configuration, why="no replica becomes ready"),
        Right("patch", configurations, name=names.configuration, why="the API server is not told whom to trust"),
    ]


def of_features(names: Names, secret: str) -> list[Right]:
    """What the webhook uses if it may; the chart's values under `rbac` decide."""
    own = names.namespace
    native, health = "it is not known whether native sidecars work", "a sidecar that does not start is not noticed"
    missed, ended = "missed pods are not found", "ended pods are not told of"
    return [
        Right("patch", "secrets", own, secret, "certificates of floe's own are not renewed"),
        Right("create", "podtemplates", own, why=native),
        Right("list", "nodes", why=native),
        Right("create", "pods", own, why=health),
        Right("delete", "pods", own, why=health),
        Right("get", "replicasets.apps", why="a service's name is guessed where metadata do not tell it"),
        Right("get", "jobs.batch", why="a service's name is guessed where metadata do not tell it"),
        Right("create", "events", why="nobody sees on a workload why its pod was not injected"),
        Right("get", "pods", why=missed),
        Right("list", "pods", why=missed),
        Right("watch", "pods", why=ended),
        Right("list", "namespaces", why=missed),
        Right("list", "resourcequotas", why="quotas that leave no room for the sidecar are not seen"),
        Right("list", "limitranges", why="limits that leave no room for the sidecar are not seen"),
        Right("get", "secrets", why="missing credentials, and keys of envFrom, are not seen"),
        Right("get", "configmaps", why="keys of envFrom are not seen"),
    ]


def of_an_installation(names: Names) -> list[Right]:
    """What `helm install` of the chart needs."""
    namespaced = [
        "deployments.apps",
        "statefulsets.apps",
        "services",
        "serviceaccounts",
        "configmaps",
        "secrets",
        "leases.coordination.k8s.io",
        "roles.rbac.authorization.k8s.io",
        "rolebindings.rbac.authorization.k8s.io",
        "poddisruptionbudgets.policy",
        "networkpolicies.networking.k8s.io",
    ]
    cluster_wide = [
        "mutatingwebhookconfigurations.admissionregistration.k8s.io",
        "clusterroles.rbac.authorization.k8s.io",
        "clusterrolebindings.rbac.authorization.k8s.io",
    ]
    return [
        *(Right("create", resource, names.namespace) for resource in namespaced),
        *(Right("create", resource) for resource in cluster_wide),
    ]


def judge_own(denied: Sequence[Right], asked: int) -> list[Finding]:
    """What whoever checks may not do: those checks are skipped."""
    check = Check.OWN_RIGHTS
    remedy = "The checks that need it are skipped; ask for the right, or let somebody check who has it."
    return or_ok([warning(check, f"You may not {right}.", remedy) for right in denied], check, f"You have all {asked}.")


def judge_webhook(account: str, needed: Sequence[Right], optional: Sequence[Right]) -> list[Finding]:
    """What the webhook may not do, of what it needs and of what it uses if it may."""
    check = Check.WEBHOOK_RIGHTS
    remedy = "Run `helm upgrade`: the chart has the roles; see docs/certificates.md, Rights."
    found = [failed(check, f"{account} may not {right}: {right.why}.", remedy) for right in needed]
    if optional:
        listed = "; ".join(f"{right}: {right.why}" for right in optional)
        switch = "If that is not wanted, switch it on among the chart's values under rbac."
        found.append(skipped(check, f"{account} may not {listed}.", switch))
    return or_ok(found, check, f"{account} has every right that it uses.")


def judge_installation(denied: Sequence[Right], asked: int) -> list[Finding]:
    """What whoever installs may not do."""
    check = Check.INSTALL_RIGHTS
    found = [failed(check, f"You may not {right}.", "Ask for it, or let somebody install who may.") for right in denied]
    return or_ok(found, check, f"You have all {asked} rights that an installation needs.")


async def own_rights(cluster: Cluster) -> list[Finding]:
    """Asks about oneself."""
    names = await _names(cluster)
    rights = of_the_checks(names, await _secret(cluster, names), cluster.choices.here)
    return judge_own(await _denied(cluster, rights), len(rights))


async def webhook_rights(cluster: Cluster) -> list[Finding]:
    """Asks about the webhook's service account."""
    names = await cluster.names()
    if not names.in_cluster:
        raise MissingError("The webhook runs outside of the cluster.")
    secret, account = await cluster.secret_name(), f"system:serviceaccount:{names.namespace}:{names.webhook}"
    needed, optional = [
        await _denied(cluster, rights, account=account, namespace=names.namespace)
        for rights in (of_the_webhook(names, secret), of_features(names, secret))
    ]
    return judge_webhook(account, needed, optional)


async def install_rights(cluster: Cluster) -> list[Finding]:
    """Asks about oneself, before an installation."""
    rights = of_an_installation(await _names(cluster))
    return judge_installation(await _denied(cluster, rights), len(rights))


async def _names(cluster: Cluster) -> Names:
    try:
        return await cluster.names()
    except RefusedError:  # told by the check of the configuration; here the usual names do
        return names_in(None, cluster.choices)


async def _secret(cluster: Cluster, names: Names) -> str:
    try:
        return await cluster.secret_name()
    except (RefusedError, MissingError):
        return names.usual_secret


async def _denied(
    cluster: Cluster, rights: Sequence[Right], *, account: str | None = None, namespace: str = ""
) -> list[Right]:
    return [right for right in rights if not await _allowed(cluster, right, account, namespace)]


async def _allowed(cluster: Cluster, right: Right, account: str | None, namespace: str) -> bool:
    kind = "SubjectAccessReview" if account else "SelfSubjectAccessReview"
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    subject = {"user": account, "groups": groups} if account else {}
    path = f"{_AUTHORIZATION}/{kind.lower()}s"
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": kind,
        "spec": {"resourceAttributes": right.attributes} | subject,
    }
    answer = await cluster.api("POST", path, body=body)
    if answer.status != 201:  # noqa: PLR2004 - 201 Created
        raise RefusedError(f"POST {path}: {answer.status} {pods.text(answer.document, 'reason')}")
    return pods.mapping(answer.document, "status").get("allowed") is True
