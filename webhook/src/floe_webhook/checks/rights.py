"""Rights: those of whoever checks, and those that an installation needs.

The API server answers for each (SelfSubjectAccessReview, SubjectAccessReview); roles are never read, because another
authorizer may grant what no role does. The webhook's own rights: `floe_webhook.checks.webhook_rights`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from floe_certs.api import RefusedError
from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster, MissingError, some_at_a_time
from floe_webhook.checks.installation import Names, names_in
from floe_webhook.checks.results import Check, Finding, failed, or_ok, warning

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


@dataclass(frozen=True, slots=True)
class Account:
    """A service account."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """As RBAC calls it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def subject(self) -> dict[str, object]:
        """User and groups of an access review."""
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated"]
        return {"user": str(self), "groups": groups}


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
    found = [warning(check, f"You may not {right}.", remedy) for right in denied]
    return or_ok(found, check, f"You have all {asked} rights that the checks use.")


def judge_installation(denied: Sequence[Right], asked: int) -> list[Finding]:
    """What whoever installs may not do."""
    check = Check.INSTALL_RIGHTS
    found = [failed(check, f"You may not {right}.", "Ask for it, or let somebody install who may.") for right in denied]
    return or_ok(found, check, f"You have all {asked} rights that an installation needs.")


async def own_rights(cluster: Cluster) -> list[Finding]:
    """Asks about oneself."""
    names = await _names(cluster)
    rights = of_the_checks(names, await _secret(cluster, names), cluster.choices.here)
    return judge_own(await denied(cluster, rights), len(rights))


async def install_rights(cluster: Cluster) -> list[Finding]:
    """Asks about oneself, before an installation."""
    rights = of_an_installation(await _names(cluster))
    return judge_installation(await denied(cluster, rights), len(rights))


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


async def denied(cluster: Cluster, rights: Sequence[Right], account: Account | None = None) -> list[Right]:
    """Which of these rights somebody does not have: a service account, or whoever asks."""
    allowed = await some_at_a_time([partial(_allowed, cluster, right, account) for right in rights])
    return [right for right, one in zip(rights, allowed, strict=True) if not one]


async def _allowed(cluster: Cluster, right: Right, account: Account | None) -> bool:
    kind = "SubjectAccessReview" if account else "SelfSubjectAccessReview"
    subject = account.subject if account else {}
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
