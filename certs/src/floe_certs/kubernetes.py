"""The Kubernetes API as far as rotation needs it: paths, documents and answers. The HTTP client comes from outside.

Every write says which version it was decided upon (`metadata.resourceVersion`), and the API server refuses it if there
is a newer one. Secret and Lease are changed by merge patches, which keep labels and owners that a chart gave them;
`caBundle` is written by server-side apply, so that its owner is ours and a GitOps tool sees no difference.

| object                                        | verbs                                              |
|-----------------------------------------------|----------------------------------------------------|
| the Secret, the Lease                         | get, patch by name; create if the chart has no one |
| the MutatingWebhookConfiguration              | get, patch by name                                 |
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from floe_certs.api import (
    ConflictError,
    Lease,
    LiveTrust,
    RefusedError,
    StoredLease,
    StoredSecret,
    UnreachableError,
)

FIELD_MANAGER = "floe-certs"

_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"
_APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML

_NOT_FOUND = 404
_CONFLICT = 409
_TRY_AGAIN = frozenset({408, 429})
_SERVER_ERRORS = 500

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer of the API server; the document is empty if the body is no JSON object."""

    status: int
    document: Document = field(repr=False)


class Request(Protocol):
    """Sends one request to the API server, with the caller's rights and a timeout."""

    async def __call__(
        self, method: str, path: str, *, query: Mapping[str, str], body: Document | None, content_type: str
    ) -> Answer:
        """The answer, whatever its status.

        Raises:
            UnreachableError: There is no answer: no connection, or not in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClusterObjects:
    """The names of the objects of one installation.

    Attributes:
        namespace: The release's own.
        webhook_configuration: The MutatingWebhookConfiguration.
        metadata: For what has to be created here, e.g. labels and the owner that takes it away on uninstall.
    """

    namespace: str
    secret: str
    lease: str
    webhook_configuration: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


class ClusterApi:
    """A Secret, a webhook configuration and a Lease of a cluster."""

    def __init__(self, request: Request, objects: ClusterObjects) -> None:
        self._request = request
        self._objects = objects
        self._secrets = f"/api/v1/namespaces/{objects.namespace}/secrets"
        self._leases = f"/apis/coordination.k8s.io/v1/namespaces/{objects.namespace}/leases"
        self._configuration = (
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/" + objects.webhook_configuration
        )

    async def read_secret(self) -> StoredSecret | None:
        """See `SecretStore`."""
        document = await self._read(f"{self._secrets}/{self._objects.secret}")
        return None if document is None else _stored_secret(document)

    async def write_secret(self, data: Mapping[str, bytes], stored: StoredSecret | None) -> StoredSecret:
        """See `SecretStore`."""
        encoded: dict[str, str | None] = {key: base64.b64encode(value).decode() for key, value in data.items()}
        if stored is None:
            body = self._new("v1", "Secret", self._objects.secret) | {"type": "Opaque", "data": encoded}
            return _stored_secret(await self._create(self._secrets, body))
        gone: dict[str, str | None] = dict.fromkeys(stored.data.keys() - data.keys())
        path = f"{self._secrets}/{self._objects.secret}"
        return _stored_secret(await self._merge(path, stored.resource_version, {"data": gone | encoded}))

    async def read_trust(self) -> LiveTrust | None:
        """See `TrustStore`."""
        document = await self._read(self._configuration)
        return None if document is None else _live_trust(document)

    async def apply_trust(self, bundle: bytes, live: LiveTrust) -> LiveTrust:
        """See `TrustStore`."""
        encoded = base64.b64encode(bundle).decode()
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": self._objects.webhook_configuration, "resourceVersion": live.resource_version},
            "webhooks": [{"name": name, "clientConfig": {"caBundle": encoded}} for name in live.bundles],
        }
        # force: whoever else wrote this field loses it to us; it is ours alone.
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        answer = await self._request("PATCH", self._configuration, query=query, body=body, content_type=_APPLY_PATCH)
        return _live_trust(_accepted("PATCH", self._configuration, answer))

    async def read_lease(self) -> StoredLease | None:
        """See `LeaseStore`."""
        document = await self._read(f"{self._leases}/{self._objects.lease}")
        return None if document is None else _stored_lease(document)

    async def write_lease(self, lease: Lease | None, stored: StoredLease | None) -> StoredLease:
        """See `LeaseStore`."""
        spec = {"holderIdentity": None} if lease is None else _spec_of(lease)
        if stored is None:
            body = self._new("coordination.k8s.io/v1", "Lease", self._objects.lease) | {"spec": spec}
            return _stored_lease(await self._create(self._leases, body))
        path = f"{self._leases}/{self._objects.lease}"
        return _stored_lease(await self._merge(path, stored.resource_version, {"spec": spec}))

    def _new(self, api_version: str, kind: str, name: str) -> dict[str, Any]:
        metadata = {**self._objects.metadata, "name": name, "namespace": self._objects.namespace}
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata}

    async def _read(self, path: str) -> Document | None:
        answer = await self._request("GET", path, query={}, body=None, content_type=_JSON)
        return None if answer.status == _NOT_FOUND else _accepted("GET", path, answer)

    async def _create(self, path: str, body: Document) -> Document:
        query = {"fieldManager": FIELD_MANAGER}
        return _accepted("POST", path, await self._request("POST", path, query=query, body=body, content_type=_JSON))

    async def _merge(self, path: str, resource_version: str, changes: Document) -> Document:
        body = {"metadata": {"resourceVersion": resource_version}, **changes}
        query = {"fieldManager": FIELD_MANAGER}
        answer = await self._request("PATCH", path, query=query, body=body, content_type=_MERGE_PATCH)
        if answer.status == _NOT_FOUND:
            raise ConflictError(f"{path} was deleted since it was read")
        return _accepted("PATCH", path, answer)


def _accepted(method: str, path: str, answer: Answer) -> Document:
    """The answer's document. Its message is not told on: it may quote what was sent, e.g. a key."""
    status = answer.status
    told = f"{method} {path}: {status} {answer.document.get('reason', '')}".rstrip()
    if status == _CONFLICT:
        raise ConflictError(told)
    if status in _TRY_AGAIN or status >= _SERVER_ERRORS:
        raise UnreachableError(told)
    if status >= 300:  # noqa: PLR2004 - the API server redirects nowhere: all but 2xx is a refusal
        raise RefusedError(told)
    return answer.document


def _version_of(document: Document) -> str:
    version: str = document["metadata"]["resourceVersion"]
    return version


def _stored_secret(document: Document) -> StoredSecret:
    data = {key: base64.b64decode(value or "") for key, value in (document.get("data") or {}).items()}
    return StoredSecret(data, _version_of(document))


def _live_trust(document: Document) -> LiveTrust:
    bundles = {entry["name"]: _decoded(entry["clientConfig"]) for entry in document.get("webhooks") or []}
    return LiveTrust(bundles, _version_of(document))


def _decoded(client_config: Document) -> bytes:
    try:
        return base64.b64decode(client_config.get("caBundle") or "")
    except binascii.Error:
        return b""


def _stored_lease(document: Document) -> StoredLease:
    spec = document.get("spec") or {}
    if not spec.get("holderIdentity"):
        return StoredLease(None, _version_of(document))
    lease = Lease(
        holder=spec["holderIdentity"],
        duration_seconds=spec.get("leaseDurationSeconds") or 0,
        acquired_at=_read_time(spec.get("acquireTime")),
        renewed_at=_read_time(spec.get("renewTime")),
        transitions=spec.get("leaseTransitions") or 0,
    )
    return StoredLease(lease, _version_of(document))


def _spec_of(lease: Lease) -> dict[str, Any]:
    return {
        "holderIdentity": lease.holder,
        "leaseDurationSeconds": lease.duration_seconds,
        "acquireTime": _micro_time(lease.acquired_at),
        "renewTime": _micro_time(lease.renewed_at),
        "leaseTransitions": lease.transitions,
    }


def _micro_time(time: datetime) -> str:
    """Kubernetes' MicroTime: exactly six digits of a second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read_time(text: str | None) -> datetime:
    return datetime.min.replace(tzinfo=UTC) if text is None else datetime.fromisoformat(text)
