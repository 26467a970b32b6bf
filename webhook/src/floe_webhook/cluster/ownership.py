"""What is made at run time belongs to the release: uninstalling removes it.

Kubernetes' garbage collector deletes what has an owner reference to something that is gone; the release's labels let
people and tools find it. The owner is looked up when something is made for the first time, so a cluster in which the
chart has made everything needs no right for it.
"""

from collections.abc import Mapping
from typing import Any

import structlog

from floe_certs.api import RefusedError
from floe_certs.kubernetes import Answer, Request
from floe_webhook.cluster.api import Document, KubernetesApi

_log = structlog.get_logger(__name__)


class OwnedCreation:
    """Requests in which every object that is created gets an owner; fits `floe_certs.kubernetes.Request`."""

    def __init__(self, request: Request, api: KubernetesApi, namespace: str, deployment: str | None) -> None:
        """Requests for objects of one namespace.

        Args:
            request: Sends them.
            api: Is asked for the owner.
            namespace: The release's own.
            deployment: The owner; None if there is none.
        """
        self._request = request
        self._api = api
        self._path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}" if deployment else None
        self._metadata: Mapping[str, Any] | None = None

    async def __call__(
        self, method: str, path: str, *, query: Mapping[str, str], body: Document | None, content_type: str
    ) -> Answer:
        """See `Request`; an owner that cannot be asked for now makes the creation wait."""
        if method == "POST" and body is not None:
            body = {**body, "metadata": {**await self._owned(), **body["metadata"]}}
        return await self._request(method, path, query=query, body=body, content_type=content_type)

    async def _owned(self) -> Mapping[str, Any]:
        if self._metadata is None:
            self._metadata = await self._looked_up()
        return self._metadata

    async def _looked_up(self) -> Mapping[str, Any]:
        if self._path is None:
            return {}
        try:
            owner = await self._api.read(self._path)
        except RefusedError as error:
            # Without an owner it outlives the release; without a certificate nothing would be injected at all.
            _log.error("what is made now will stay after uninstalling", reason=str(error))
            return {}
        if owner is None:
            _log.error("what is made now will stay after uninstalling", reason=f"{self._path} does not exist")
            return {}
        metadata = owner["metadata"]
        reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"], "uid": metadata["uid"]}
        return {"labels": metadata.get("labels") or {}, "ownerReferences": [reference]}
