"""Runs checks one after the other as people read them; what cannot be looked at is skipped with its reason."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from floe_certs.api import RefusedError, UnreachableError
from floe_core.errors import FloeError
from floe_webhook.checks.admission import admission
from floe_webhook.checks.backends import backends, probed_backends
from floe_webhook.checks.before_install import cert_manager, leftovers, release_namespace
from floe_webhook.checks.certificates import ca_bundle, certificate_expiry
from floe_webhook.checks.cluster import Cluster, MissingError
from floe_webhook.checks.deployment import webhook_deployment
from floe_webhook.checks.destinations import network_policies
from floe_webhook.checks.manifest import manifest, secrets
from floe_webhook.checks.pods_of_namespaces import injected_versions, missed_pods, namespace_labels
from floe_webhook.checks.quotas import quotas
from floe_webhook.checks.results import Check, Finding, failed, ok, skipped
from floe_webhook.checks.rights import install_rights, own_rights
from floe_webhook.checks.versions import admission_api, cluster_version
from floe_webhook.checks.webhook_configuration import webhook_configuration
from floe_webhook.checks.webhook_rights import webhook_rights

Look = Callable[[Cluster], Awaitable[list[Finding]]]

INSTALLED: Mapping[Check, Look] = {
    Check.CLUSTER_VERSION: cluster_version,
    Check.ADMISSION_API: admission_api,
    Check.OWN_RIGHTS: own_rights,
    Check.WEBHOOK_CONFIGURATION: webhook_configuration,
    Check.WEBHOOK_DEPLOYMENT: webhook_deployment,
    Check.CA_BUNDLE: ca_bundle,
    Check.CERTIFICATE_EXPIRY: certificate_expiry,
    Check.WEBHOOK_RIGHTS: webhook_rights,
    Check.ADMISSION: admission,
    Check.MANIFEST: manifest,
    Check.NAMESPACE_LABELS: namespace_labels,
    Check.SECRETS: secrets,
    Check.QUOTAS: quotas,
    Check.NETWORK_POLICIES: network_policies,
    Check.BACKENDS: backends,
    Check.MISSED_PODS: missed_pods,
    Check.INJECTED_VERSIONS: injected_versions,
}
"""What is looked at of an installation, in this order: what comes first explains what comes later."""

BEFORE_INSTALL: Mapping[Check, Look] = {
    Check.CLUSTER_VERSION: cluster_version,
    Check.ADMISSION_API: admission_api,
    Check.INSTALL_RIGHTS: install_rights,
    Check.RELEASE_NAMESPACE: release_namespace,
    Check.LEFTOVERS: leftovers,
}
"""What is looked at with `--pre`."""


def chosen(*, before_install: bool, with_cert_manager: bool, probe: bool) -> dict[Check, Look]:
    """The checks that a person asks for."""
    if not before_install:
        return dict(INSTALLED) | ({Check.BACKENDS: probed_backends} if probe else {})
    return dict(BEFORE_INSTALL) | ({Check.CERT_MANAGER: cert_manager} if with_cert_manager else {})


async def run(cluster: Cluster, looks: Mapping[Check, Look], told: Callable[[str], None]) -> list[Finding]:
    """All findings; without an API server only that one.

    Args:
        cluster: What is looked at.
        looks: The checks.
        told: Takes the name of each check as it begins.
    """
    told(Check.API_SERVER)
    try:
        version = await cluster.api.read("/version")
    except (RefusedError, UnreachableError) as error:
        remedy = "Check the kubeconfig: kubectl cluster-info. Nothing else could be looked at."
        return [failed(Check.API_SERVER, f"The API server gives no answer: {error}.", remedy)]
    found = [ok(Check.API_SERVER, f"The API server answers: {(version or {}).get('gitVersion', 'without a version')}.")]
    for check, look in looks.items():
        told(check)
        found += await _looked(check, partial(look, cluster))
    return found


async def _looked(check: Check, look: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    try:
        return await look()
    except MissingError as missing:
        return [skipped(check, str(missing))]
    except RefusedError as refusal:
        return [skipped(check, f"You may not look at this: {refusal}", "Let somebody check who has the right.")]
    except UnreachableError as error:
        return [failed(check, f"The API server gave no answer: {error}.", "Try again.")]
    except FloeError as error:
        place = f" ({error.where})" if error.where else ""
        return [failed(check, f"{error.what}{place}", error.remedy or "")]
