"""A small client of the Kubernetes API for tests: the few verbs and kinds that they use, documents as they are."""

import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.e2e.cluster.certificates import KeyPairFiles
from tests.e2e.cluster.kubeconfig import Access, read_access

Manifest = dict[str, Any]

_COLLECTIONS = {
    ("v1", "Namespace"): "/api/v1/namespaces",
    ("v1", "Node"): "/api/v1/nodes",
    ("v1", "PersistentVolume"): "/api/v1/persistentvolumes",
    ("v1", "PersistentVolumeClaim"): "/api/v1/namespaces/{namespace}/persistentvolumeclaims",
    ("v1", "Pod"): "/api/v1/namespaces/{namespace}/pods",
    ("v1", "ServiceAccount"): "/api/v1/namespaces/{namespace}/serviceaccounts",
    ("v1", "Service"): "/api/v1/namespaces/{namespace}/services",
    ("v1", "ConfigMap"): "/api/v1/namespaces/{namespace}/configmaps",
    ("v1", "Secret"): "/api/v1/namespaces/{namespace}/secrets",
    ("v1", "LimitRange"): "/api/v1/namespaces/{namespace}/limitranges",
    ("v1", "ResourceQuota"): "/api/v1/namespaces/{namespace}/resourcequotas",
    ("networking.k8s.io/v1", "NetworkPolicy"): "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    ("apps/v1", "Deployment"): "/apis/apps/v1/namespaces/{namespace}/deployments",
    ("apps/v1", "StatefulSet"): "/apis/apps/v1/namespaces/{namespace}/statefulsets",
    ("batch/v1", "Job"): "/apis/batch/v1/namespaces/{namespace}/jobs",
    ("batch/v1", "CronJob"): "/apis/batch/v1/namespaces/{namespace}/cronjobs",
    ("discovery.k8s.io/v1", "EndpointSlice"): "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices",
    (
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
    ): "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
}


class ApiError(Exception):
    """The API server refused a request: its status code, its reason and its sentence."""

    def __init__(self, status_code: int, reason: str, message: str) -> None:
        super().__init__(f"{status_code} {reason}: {message}")
        self.status_code = status_code
        self.reason = reason
        self.message = message


class KubernetesClient:
    """Creates, reads and deletes objects; a context manager that closes its connections."""

    def __init__(self, access: Access) -> None:
        headers = {"Authorization": f"Bearer {access.token}"} if access.token else {}
        # trust_env: a proxy of the machine's knows nothing of a cluster on the loopback address.
        self._http = httpx.Client(
            base_url=access.server, verify=access.tls, headers=headers, timeout=30.0, trust_env=False
        )

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Self:
        """A client with the rights of a kubeconfig's current context."""
        return cls(read_access(path))

    @classmethod
    def with_certificate(cls, server: str, authority_file: Path, client: KeyPairFiles) -> Self:
        """A client that shows a certificate."""
        tls = ssl.create_default_context(cafile=authority_file)
        tls.load_cert_chain(client.certificate, client.key)
        return cls(Access(server, tls))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def is_ready(self) -> bool:
        """Whether the API server answers `/readyz`."""
        try:
            return self._http.get("/readyz", timeout=2.0).is_success
        except httpx.TransportError:
            return False

    def server_version(self) -> str:
        """The API server's version, e.g. `v1.36.3`."""
        version: str = self._answer(self._http.get("/version"))["gitVersion"]
        return version

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """The object as the server stores it, or with `dry_run` as it would; its namespace stands in its metadata.

        Raises:
            ApiError: The server refuses it.
        """
        collection = _collection(manifest["apiVersion"], manifest["kind"], manifest["metadata"].get("namespace"))
        parameters = {"dryRun": "All"} if dry_run else {}
        return self._answer(self._http.post(collection, json=manifest, params=parameters))

    def set_status(self, manifest: Manifest) -> None:
        """Replaces the status of a stored object by a document's, as a controller does.

        Raises:
            ApiError: There is none, or the server refuses it.
        """
        metadata = manifest["metadata"]
        collection = _collection(manifest["apiVersion"], manifest["kind"], metadata.get("namespace"))
        self._answer(self._http.put(f"{collection}/{metadata['name']}/status", json=manifest))

    def get(self, kind: str, name: str, namespace: str | None = None, *, api_version: str = "v1") -> Manifest:
        """A stored object.

        Raises:
            ApiError: There is none (404), or the server refuses.
        """
        return self._answer(self._http.get(f"{_collection(api_version, kind, namespace)}/{name}"))

    def pods(self, namespace: str | None = None, *, label: str = "") -> list[Manifest]:
        """The pods of a namespace, or of all, that carry a label (`key=value`)."""
        collection = "/api/v1/pods" if namespace is None else _collection("v1", "Pod", namespace)
        found: list[Manifest] = self._answer(self._http.get(collection, params={"labelSelector": label}))["items"]
        return [{"apiVersion": "v1", "kind": "Pod"} | pod for pod in found]  # in a list only the list says it

    def every(self, api_version: str, kind: str) -> list[Manifest]:
        """The objects of a kind in all namespaces."""
        collection = _COLLECTIONS[api_version, kind].replace("/namespaces/{namespace}", "")
        found: list[Manifest] = self._answer(self._http.get(collection))["items"]
        return found

    def log(self, pod: Manifest, container: str) -> str:
        """What a container has written so far.

        Raises:
            ApiError: It has not started, or its node does not answer.
        """
        metadata = pod["metadata"]
        path = f"{_collection('v1', 'Pod', metadata['namespace'])}/{metadata['name']}/log"
        answer = self._http.get(path, params={"container": container})
        if answer.is_error:
            self._answer(answer)
        return answer.text

    def delete(self, manifest: Manifest) -> None:
        """Deletes an object at once; one that is gone already is no error."""
        metadata = manifest["metadata"]
        collection = _collection(manifest["apiVersion"], manifest["kind"], metadata.get("namespace"))
        answer = self._http.delete(f"{collection}/{metadata['name']}", params={"gracePeriodSeconds": "0"})
        if answer.status_code != httpx.codes.NOT_FOUND:
            self._answer(answer)

    @staticmethod
    def _answer(response: httpx.Response) -> Manifest:
        document: Manifest = response.json()
        if response.is_error:
            raise ApiError(response.status_code, document.get("reason", ""), document.get("message", response.text))
        return document


def _collection(api_version: str, kind: str, namespace: str | None) -> str:
    return _COLLECTIONS[api_version, kind].format(namespace=namespace)
