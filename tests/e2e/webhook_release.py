"""What a chart makes of a release, for webhooks that run beside an API server instead of in its pods.

Namespace, service account, rights, the Deployment that owns what is made at run time, and the webhook configuration
without a caBundle; no Secret and no Lease. Each program runs with the service account's token and rights.
"""

import ssl
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from floe_webhook.cluster.api import Access, KubernetesApi
from tests.e2e.admission import RUN_LABEL, Namespace, create_namespace
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.cluster.kubeconfig import read_access
from tests.e2e.webhook_configuration import mutating_webhook_configuration

NAME = "floe-injector-webhook"
SECRET = "floe-injector-webhook-certificate"
LABELS = {"app.kubernetes.io/instance": "floe-injector", "app.kubernetes.io/name": "floe-injector"}

_RBAC = "rbac.authorization.k8s.io/v1"
_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


@asynccontextmanager
async def administrator(cluster: Cluster) -> AsyncIterator[KubernetesApi]:
    """Requests with all rights."""
    access = read_access(cluster.kubeconfig)
    async with aiohttp.ClientSession() as session:
        yield KubernetesApi(session, Access(access.server, access.tls, lambda: access.token))


@dataclass(frozen=True, slots=True)
class Release:
    """A release's names.

    Attributes:
        configuration: The MutatingWebhookConfiguration.
        service_account: The folder that the kubelet would mount.
        environment: What the kubelet would set.
        server_name: What the API server asks for.
    """

    api: KubernetesApi
    namespace: str
    configuration: str
    service_account: Path
    environment: Mapping[str, str]
    server_name: str = "127.0.0.1"

    def flags(self, pod_name: str, *more: object) -> tuple[object, ...]:
        """Those of one replica."""
        return (
            *("--certificates", "own", "--certificate-secret", SECRET, "--lease", NAME),
            *("--webhook-configuration", self.configuration, "--release-namespace", self.namespace),
            *("--owner-deployment", NAME, "--service-account", self.service_account),
            *("--server-name", self.server_name, "--pod-name", pod_name, *more),
        )

    async def secret(self) -> Mapping[str, Any] | None:
        """The Secret that the replicas share."""
        return await self.api.read(f"/api/v1/namespaces/{self.namespace}/secrets/{SECRET}")

    async def lease(self) -> Mapping[str, Any] | None:
        """The Lease."""
        return await self.api.read(f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{NAME}")

    async def bundles(self) -> list[str]:
        """The caBundle of each entry, as the API server has it."""
        found = await self.api.read(f"{_CONFIGURATIONS}/{self.configuration}")
        assert found is not None
        return [entry["clientConfig"].get("caBundle", "") for entry in found["webhooks"]]


@asynccontextmanager
async def release(cluster: Cluster, namespace: str, run_id: str, port: int, folder: Path) -> AsyncIterator[Release]:
    """A release whose webhook the API server calls on a port of this machine; cluster-wide objects are deleted after.

    Args:
        cluster: The cluster.
        namespace: The release's own.
        run_id: Only pods in namespaces of this run travel.
        port: Where the API server calls.
        folder: Takes the service account's folder.
    """
    async with administrator(cluster) as api:
        made = f"floe-e2e-{namespace}"
        objects = [*_objects(namespace, made), _configuration(made, run_id, port)]
        try:
            for path, document in objects:
                answer = await api("POST", path, body=document)
                assert answer.status == 201, (path, answer.document)
            where = await write_service_account(cluster, namespace, NAME, folder)
            yield Release(api, namespace, made, folder, where)
        finally:
            for path, _ in objects:
                if "/namespaces/" not in path:
                    await api("DELETE", f"{path}/{made}")


async def write_service_account(cluster: Cluster, namespace: str, name: str, folder: Path) -> dict[str, str]:
    """Writes what the kubelet mounts for a service account; gives the variables that it sets.

    Args:
        cluster: The cluster.
        namespace: The service account's.
        name: The service account's.
        folder: Takes the token and the authority.
    """
    access = read_access(cluster.kubeconfig)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
    async with administrator(cluster) as api:
        answer = await api("POST", path, body=asked)
    assert answer.status == 201, answer.document
    (folder / "token").write_text(answer.document["status"]["token"])
    authorities = access.tls.get_ca_certs(binary_form=True)
    (folder / "ca.crt").write_bytes(b"".join(ssl.DER_cert_to_PEM_cert(one).encode() for one in authorities))
    address = urlsplit(access.server)
    return {"KUBERNETES_SERVICE_HOST": str(address.hostname), "KUBERNETES_SERVICE_PORT": str(address.port)}


def two_namespaces(cluster: Cluster) -> tuple[str, Namespace, Namespace]:
    """A run's id, and for it a namespace for a release and one for pods."""
    run = uuid.uuid4().hex[:8]
    with cluster.client() as kubernetes:
        return run, create_namespace(kubernetes, {RUN_LABEL: run}), create_namespace(kubernetes, {RUN_LABEL: run})


def _objects(namespace: str, made: str) -> list[tuple[str, dict[str, Any]]]:
    """Paths and documents, in order of creation; what is cluster-wide bears the release's own name."""
    inside = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    wide = "/apis/rbac.authorization.k8s.io/v1"
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": namespace}
    named: dict[str, Any] = {"name": NAME, "namespace": namespace, "labels": LABELS}
    role = [
        _rule("", "secrets", ["get", "patch"], SECRET),
        _rule("", "secrets", ["create"]),
        _rule("coordination.k8s.io", "leases", ["get", "patch"], NAME),
        _rule("coordination.k8s.io", "leases", ["create"]),
        _rule("apps", "deployments", ["get"], NAME),
    ]
    cluster_role = [_rule("admissionregistration.k8s.io", "mutatingwebhookconfigurations", ["get", "patch"], made)]
    deployment = {
        "replicas": 0,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {"containers": [{"name": "webhook", "image": "e2e.invalid/webhook:1"}]},
        },
    }
    return [
        (f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": named}),
        (f"{inside}/roles", {"apiVersion": _RBAC, "kind": "Role", "metadata": named, "rules": role}),
        (f"{inside}/rolebindings", _binding("Role", NAME, named, account)),
        (
            f"{wide}/clusterroles",
            {"apiVersion": _RBAC, "kind": "ClusterRole", "metadata": {"name": made}, "rules": cluster_role},
        ),
        (f"{wide}/clusterrolebindings", _binding("ClusterRole", made, {"name": made}, account)),
        (
            f"/apis/apps/v1/namespaces/{namespace}/deployments",
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": named, "spec": deployment},
        ),
    ]


def _rule(group: str, resource: str, verbs: list[str], *names: str) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "verbs": verbs} | (
        {"resourceNames": list(names)} if names else {}
    )


def _binding(kind: str, role: str, metadata: dict[str, Any], account: dict[str, Any]) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
    return {
        "apiVersion": _RBAC,
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "subjects": [account],
        "roleRef": reference,
    }


def _configuration(made: str, run_id: str, port: int) -> tuple[str, dict[str, Any]]:
    document = mutating_webhook_configuration(made, lambda path: {"url": f"https://127.0.0.1:{port}{path}"})
    for entry in document["webhooks"]:
        entry["namespaceSelector"]["matchExpressions"].append({"key": RUN_LABEL, "operator": "In", "values": [run_id]})
    return _CONFIGURATIONS, document
