"""The probe pods of one release: each has a name of its own, so that one that does not go away is in nobody's way."""

from floe_webhook import pod as pods
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.pod import Document

PROBE_LABELS = {"app.kubernetes.io/component": "sidecar-probe"}

_MOST = 50


class ProbePods:
    """Where they are.

    Attributes:
        prefix: What their names begin with, and what the API server completes.
    """

    def __init__(self, api: KubernetesApi, namespace: str, name: str) -> None:
        """Those of a release.

        Args:
            api: Is asked.
            namespace: The release's own.
            name: Of the release's probe; another release in the namespace has another.
        """
        self.prefix = f"{name}-"
        self.namespace = namespace
        self.path = f"/api/v1/namespaces/{namespace}/pods"
        self._api = api

    async def found(self) -> list[Document]:
        """All that there are, whatever their state.

        Raises:
            UnreachableError: There is no answer.
            RefusedError: Pods may not be listed.
        """
        selector = ",".join(f"{key}={value}" for key, value in PROBE_LABELS.items())
        page = await self._api.read(self.path, query={"labelSelector": selector, "limit": str(_MOST)})
        names = [(pods.text(pod, "metadata", "name"), pod) for pod in pods.entries(page, "items")]
        return [pod for name, pod in names if name.startswith(self.prefix) or f"{name}-" == self.prefix]
