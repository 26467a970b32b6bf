"""What can be looked at before there is an installation: `floe check --pre`."""

from collections.abc import Mapping, Sequence

from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster
from floe_webhook.checks.results import Check, Finding, failed, ok, or_ok, warning
from floe_webhook.decision import YES
from floe_webhook.pod import Document

_LEVEL = "pod-security.kubernetes.io/enforce"


def judge_cert_manager(groups: Sequence[str]) -> list[Finding]:
    """Whether cert-manager is there, from the names of the API server's groups."""
    check = Check.CERT_MANAGER
    if "cert-manager.io" in groups:
        return [ok(check, "cert-manager is installed.")]
    remedy = "Install cert-manager first, or choose certificates of floe's own (the chart's default)."
    return [failed(check, "cert-manager is not installed: the API server has no group cert-manager.io.", remedy)]


def judge_release_namespace(name: str, labels: Mapping[str, str] | None, quotas: Sequence[str]) -> list[Finding]:
    """The release's namespace by its labels (None if it is not there yet) and the names of its quotas."""
    check = Check.RELEASE_NAMESPACE
    if labels is None:
        return [ok(check, f"The namespace {name} is not there yet; helm makes it (--create-namespace).")]
    found = []
    if labels.get(pods.INJECT_LABEL) in YES:
        sentence = f"The namespace {name} is labelled {pods.INJECT_LABEL}, but floe's own pods are never injected."
        found.append(warning(check, sentence, f"kubectl label namespace {name} {pods.INJECT_LABEL}-"))
    if quotas:
        sentence = f"The namespace {name} has quotas ({', '.join(quotas)}) that have to leave room for the release."
        found.append(
            warning(check, sentence, "Compare them with the chart's resources: helm template … | grep -A4 res")
        )
    level = labels.get(_LEVEL, "none")
    return or_ok(found, check, f"The namespace {name} is fit (Pod Security: {level}; the chart meets restricted).")


def judge_leftovers(configuration: Document | None, name: str) -> list[Finding]:
    """Whether there is a webhook configuration already."""
    check = Check.LEFTOVERS
    if configuration is None:
        return [ok(check, "There is no webhook configuration of this name.")]
    owner = pods.text(pods.annotations(configuration), "meta.helm.sh/release-name")
    if owner:
        sentence = f"{name} is installed already (release {owner}); use helm upgrade, and floe check without --pre."
        return [warning(check, sentence, "Nothing has to be done.")]
    remedy = f"If nobody needs it: kubectl delete mutatingwebhookconfiguration {name}"
    return [failed(check, f"A webhook configuration {name} is there that no release owns; helm refuses it.", remedy)]


async def cert_manager(cluster: Cluster) -> list[Finding]:
    """Asks for the API groups."""
    found = await cluster.api.read("/apis") or {}
    return judge_cert_manager([pods.text(group, "name") for group in pods.entries(found, "groups")])


async def release_namespace(cluster: Cluster) -> list[Finding]:
    """Reads the namespace and its quotas."""
    name = (await cluster.names()).namespace
    found = await cluster.api.read(f"/api/v1/namespaces/{name}")
    quotas = []
    if found is not None:
        async for page in cluster.api.pages(f"/api/v1/namespaces/{name}/resourcequotas"):
            quotas += [pods.text(quota, "metadata", "name") for quota in page]
    return judge_release_namespace(name, None if found is None else dict(pods.labels(found)), quotas)


async def leftovers(cluster: Cluster) -> list[Finding]:
    """Looks for a webhook configuration."""
    return judge_leftovers(await cluster.configuration(), (await cluster.names()).configuration)
