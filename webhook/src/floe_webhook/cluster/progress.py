"""How far the following of ended pods has come, kept in a ConfigMap, so that the next leader goes on from there.

What is kept is a `resourceVersion` of pods: everything up to it has been told. Without the ConfigMap, or without the
right to write it, following works; a new leader then tells again of the ended pods that still exist, with the same
events.
"""

from dataclasses import dataclass
from typing import Protocol

import structlog

from floe_certs.api import RefusedError, UnreachableError
from floe_certs.kubernetes import Answer, Request
from floe_webhook import pod as pods

_KEY = "ended-pods"
_JSON, _MERGE_PATCH = "application/json", "application/merge-patch+json"
_OK = range(200, 300)
_NOT_FOUND, _SERVER_ERRORS = 404, 500
_TRY_AGAIN = frozenset({408, 409, 429})

_log = structlog.get_logger(__name__)


class Progress(Protocol):
    """Keeps a `resourceVersion`."""

    async def read(self) -> str:
        """The one that was kept last; empty if there is none.

        Raises:
            UnreachableError: It cannot be said now.
        """
        ...

    async def write(self, resource_version: str) -> None:
        """Keeps one; what cannot be kept now is kept the next time."""
        ...


@dataclass(frozen=True, slots=True)
class ConfigMapProgress:
    """A ConfigMap of the release's namespace.

    Attributes:
        request: Sends requests; what it creates belongs to the release.
        name: Of the ConfigMap, which is created if it does not exist.
    """

    request: Request
    namespace: str
    name: str

    async def read(self) -> str:
        """See `Progress`."""
        answer = await self.request("GET", self._path, query={}, body=None, content_type=_JSON)
        if answer.status in _TRY_AGAIN or answer.status >= _SERVER_ERRORS:
            raise UnreachableError(f"GET {self._path}: {answer.status}")
        return pods.text(answer.document, "data", _KEY)

    async def write(self, resource_version: str) -> None:
        """See `Progress`."""
        try:
            answer = await self._write(resource_version)
        except (RefusedError, UnreachableError) as error:
            _log.warning("progress cannot be kept", reason=str(error))
            return
        if answer.status not in _OK:
            _log.warning("progress cannot be kept", path=self._path, status=answer.status)

    async def _write(self, resource_version: str) -> Answer:
        content = {"data": {_KEY: resource_version}}
        answer = await self.request("PATCH", self._path, query={}, body=content, content_type=_MERGE_PATCH)
        if answer.status != _NOT_FOUND:
            return answer
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.name}, **content}
        return await self.request("POST", self._collection, query={}, body=document, content_type=_JSON)

    @property
    def _collection(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"

    @property
    def _path(self) -> str:
        return f"{self._collection}/{self.name}"


class NoProgress:
    """Keeps nothing."""

    async def read(self) -> str:
        """See `Progress`."""
        return ""

    async def write(self, resource_version: str) -> None:
        """See `Progress`."""
