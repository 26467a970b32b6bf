"""An API server in memory, as far as rotation uses one; it answers as the real one does.

The same contract (`certs.tests.kubernetes_contract`) runs against it and, end to end, against a real API server:
resourceVersion conflicts, AlreadyExists, merge patches, server-side apply with field managers.
"""

import copy
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from floe_certs.api import UnreachableError
from floe_certs.kubernetes import Answer, ClusterObjects, Document

OBJECTS = ClusterObjects(
    namespace="floe", secret="floe-webhook-tls", lease="floe-webhook", webhook_configuration="floe"
)
CONFIGURATION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/floe"
SECRET = "/api/v1/namespaces/floe/secrets/floe-webhook-tls"


async def _at_once() -> None:
    """No other task gets a turn."""


class InMemoryApi:
    """Objects by path; `request` is a `floe_certs.kubernetes.Request`.

    Attributes:
        reachable: Whether it answers at all.
        forbidden: (method, path) of requests that this service account may not send.
        before_each: Awaited before a request arrives: lets other tasks run.
        after_write: Called after each write.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.reachable = True
        self.forbidden: set[tuple[str, str]] = set()
        self.before_each: Callable[[], Awaitable[None]] = _at_once
        self.after_write: Callable[[], None] = lambda: None
        self._version = 0

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str], body: Document | None, content_type: str
    ) -> Answer:
        await self.before_each()
        if not self.reachable:
            raise UnreachableError("connection refused")
        if (method, path) in self.forbidden:
            return _status(403, "Forbidden")
        if method == "GET":
            found = self.objects.get(path)
            answer = _status(404, "NotFound") if found is None else Answer(200, copy.deepcopy(found))
        elif method == "POST":
            assert body is not None
            answer = self._create(f"{path}/{body['metadata']['name']}", body)
        else:
            assert body is not None
            answer = self._patch(path, query, body, content_type)
        await self.before_each()  # an answer travels, too
        return answer

    def put(self, path: str, document: Document) -> None:
        """What somebody with all rights writes."""
        self._store(path, copy.deepcopy(dict(document)))

    def configure_webhooks(self, *entries: str) -> None:
        """A webhook configuration as the chart renders it: without a caBundle."""
        webhooks = [{"name": name, "clientConfig": {"service": {"name": "w", "namespace": "floe"}}} for name in entries]
        self.put(CONFIGURATION, {"metadata": {"name": "floe"}, "webhooks": webhooks})

    def ca_bundles(self) -> dict[str, str | None]:
        """Each entry's caBundle as it is stored."""
        return {one["name"]: one["clientConfig"].get("caBundle") for one in self.objects[CONFIGURATION]["webhooks"]}

    def _create(self, path: str, body: Document) -> Answer:
        if path in self.objects:
            return _status(409, "AlreadyExists")
        return Answer(201, self._store(path, copy.deepcopy(dict(body))))

    def _patch(self, path: str, query: Mapping[str, str], body: Document, content_type: str) -> Answer:
        found = self.objects.get(path)
        if found is None:
            return _status(404, "NotFound")
        given = body["metadata"].get("resourceVersion")
        if given is not None and given != found["metadata"]["resourceVersion"]:
            return _status(409, "Conflict")
        changed = copy.deepcopy(found)
        if content_type == "application/apply-patch+yaml":
            if (refused := _apply(changed, body, query)) is not None:
                return refused
        else:
            _merge(changed, body)
        changed["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"]
        if changed == found:  # a write that changes nothing makes no new version
            return Answer(200, copy.deepcopy(found))
        return Answer(200, self._store(path, changed))

    def _store(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        document["metadata"] = {**document["metadata"], "resourceVersion": str(self._version)}
        self.objects[path] = document
        self.after_write()
        return copy.deepcopy(document)


def _apply(document: dict[str, Any], body: Document, query: Mapping[str, str]) -> Answer | None:
    """Server-side apply of `caBundle`; who owns it stands in `managedFields`, one line for each entry."""
    owners = document["metadata"].setdefault("managedFields", {})
    entries = {one["name"]: one for one in document["webhooks"]}
    for given in body["webhooks"]:
        name, bundle = given["name"], given["clientConfig"]["caBundle"]
        if name not in entries:
            return _status(422, "Invalid")  # an entry of a name alone lacks required fields
        owner = owners.get(name, query["fieldManager"])
        current = entries[name]["clientConfig"].get("caBundle")
        if owner != query["fieldManager"] and current != bundle and query.get("force") != "true":
            return _status(409, "Conflict")
        entries[name]["clientConfig"]["caBundle"] = bundle
        owners[name] = query["fieldManager"]
    return None


def _merge(document: dict[str, Any], patch: Mapping[str, Any]) -> None:
    """RFC 7386."""
    for key, value in patch.items():
        if value is None:
            document.pop(key, None)
        elif isinstance(value, Mapping):
            _merge(document.setdefault(key, {}), value)
        else:
            document[key] = value


def _status(code: int, reason: str) -> Answer:
    return Answer(code, {"kind": "Status", "reason": reason, "message": "refused"})
