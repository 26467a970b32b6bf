"""Writes Events on the workloads that people look at, without anybody waiting for it.

Core `v1` Events, not `events.k8s.io/v1`: both are one thing in storage, but every kubectl reads the core form, whose
`count` and `lastTimestamp` all of them show and sort by, and it takes the fewest rights: `create` and `patch` on
`events`. `kubectl describe` finds an Event by its object's UID, and a pod knows the UID of its direct owner only: the
workload's own stands in the owner reference of the ReplicaSet or Job between, which is read once where RBAC allows;
where not, the Event is written on that one.

Announcing notes in memory and returns. A task writes: bounded, rate-limited, aggregated (`floe_webhook.aggregation`).
Each replica tells of its own admissions, so an object has at most one Event of each reason from each replica.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

import structlog

from floe_certs.api import UnreachableError
from floe_certs.kubernetes import Answer
from floe_webhook import pod as pods
from floe_webhook.aggregation import Aggregation, Limits, Series
from floe_webhook.announcements import Announcement, Subject, controller_of
from floe_webhook.cluster.api import METADATA_OF_ONE
from floe_webhook.pod import Document

COMPONENT = "floe-webhook"
ROUND_SECONDS = 1.0

_MERGE_PATCH = "application/merge-patch+json"
_OK = range(200, 300)
_NOT_FOUND, _CONFLICT, _TOO_MANY, _SERVER_ERRORS = 404, 409, 429, 500
_WORKLOADS_REMEMBERED = 512
_LONGEST_NAME = 200
_PATHS = {
    "Pod": "/api/v1/namespaces/{}/pods/{}",
    "ReplicaSet": "/apis/apps/v1/namespaces/{}/replicasets/{}",
    "Job": "/apis/batch/v1/namespaces/{}/jobs/{}",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments/{}",
}

_log = structlog.get_logger(__name__)


class Unwritten(StrEnum):
    """Why an announcement did not become an Event, or part of one's count."""

    NO_ROOM = "no_room"
    RATE_LIMITED = "rate_limited"
    REFUSED = "refused"
    FAILED = "failed"


class EventsObserver(Protocol):
    """Counts what becomes of announcements."""

    def event_written(self) -> None:
        """An Event was made, or its count has grown."""
        ...

    def event_lost(self, reason: Unwritten, announcements: int) -> None:
        """So many announcements are told to nobody."""
        ...


class EventsApi(Protocol):
    """The part of `KubernetesApi` that is needed here."""

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Document | None = None,
        content_type: str = ...,
        accept: str = ...,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """See `KubernetesApi`."""
        ...


@dataclass(slots=True)
class Events:
    """Takes announcements and writes them; an `Announcer`.

    Attributes:
        instance: This replica's name, e.g. its pod's.
    """

    api: EventsApi
    instance: str
    observer: EventsObserver
    limits: Limits = field(default_factory=Limits)
    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _noted: Aggregation = field(init=False)
    _workloads: OrderedDict[Subject, Subject] = field(init=False, default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self._noted = Aggregation(self.limits, self.monotonic())

    def announce(self, announcement: Announcement) -> None:
        """See `Announcer`."""
        if not self._noted.note(announcement, self.monotonic()):
            self.observer.event_lost(Unwritten.NO_ROOM, 1)

    async def run(self) -> None:
        """Writes until it is cancelled."""
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Writes what is due; what the API server cannot take now is tried again in a later round.

        Whatever else is raised is for who runs this to count; what caused it is given up, so that it is raised once.
        """
        for series in self._noted.due(self.monotonic()):
            try:
                await self._write(series)
            except UnreachableError:
                break
            except Exception:
                self.observer.event_lost(Unwritten.FAILED, self._noted.drop(series))
                raise
        if lost := self._noted.tidy(self.monotonic()):
            self.observer.event_lost(Unwritten.RATE_LIMITED, lost)

    async def _write(self, series: Series) -> None:
        subject = await self._workload(series.announcement.subject)
        count = series.count
        document = self._document(series, subject, count)
        path = f"/api/v1/namespaces/{_namespace(subject)}/events"
        name = document["metadata"]["name"]
        status = await self._send(path, name, document, exists=series.told > 0)
        if status in _OK:
            self._noted.written(series, count, self.monotonic())
            self.observer.event_written()
        else:
            # E.g. 403: no rights, or a namespace that is being deleted.
            _log.warning("the API server refuses an event", status=status, reason=series.announcement.reason)
            self.observer.event_lost(Unwritten.REFUSED, self._noted.drop(series))

    async def _send(self, path: str, name: str, document: Document, *, exists: bool) -> int:
        """The last answer's status, of at most two requests: an Event ends after an hour, or was ours before a restart.

        Raises:
            UnreachableError: The API server does not answer, or cannot now.
        """
        status = 0
        for is_patch in (exists, not exists):
            if is_patch:
                changes = {key: document[key] for key in ("count", "lastTimestamp")}
                answer = await self.api("PATCH", f"{path}/{name}", body=changes, content_type=_MERGE_PATCH)
            else:
                answer = await self.api("POST", path, body=document)
            status = _usable(path, answer).status
            if status != (_NOT_FOUND if is_patch else _CONFLICT):
                break
        return status

    def _document(self, series: Series, subject: Subject, count: int) -> dict[str, Any]:
        announcement = series.announcement
        now, monotonic = self.now(), self.monotonic()
        first, last = (_timestamp(now - timedelta(seconds=monotonic - at)) for at in (series.first_at, series.last_at))
        involved = {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": self._name(announcement, subject), "namespace": _namespace(subject)},
            "involvedObject": {key: value for key, value in involved.items() if value},
            "reason": announcement.reason,
            "message": announcement.message,
            "type": "Warning" if announcement.warning else "Normal",
            "count": count,
            "firstTimestamp": first,
            "lastTimestamp": last,
            "source": {"component": COMPONENT, "host": self.instance},
            "reportingComponent": COMPONENT,
            "reportingInstance": self.instance,
        }

    def _name(self, announcement: Announcement, subject: Subject) -> str:
        parts = (subject.kind, subject.name, subject.uid, announcement.reason, announcement.message, self.instance)
        digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
        return f"{subject.name[:_LONGEST_NAME].rstrip('.-')}.{digest}"

    async def _workload(self, subject: Subject) -> Subject:
        """The object with its UID, as far as the API server tells; what stands between if it does not tell more.

        Raises:
            UnreachableError: The API server does not answer.
        """
        if subject.uid:
            return subject
        if (known := self._workloads.get(subject)) is None:
            known = await self._looked_up(subject)
            self._workloads[subject] = known
            if len(self._workloads) > _WORKLOADS_REMEMBERED:
                self._workloads.popitem(last=False)
        return known

    async def _looked_up(self, subject: Subject) -> Subject:
        asked = subject.through or subject
        if asked.kind not in _PATHS:
            return asked
        path = _PATHS[asked.kind].format(asked.namespace, asked.name)
        metadata = pods.mapping(_usable(path, await self.api("GET", path, accept=METADATA_OF_ONE)).document, "metadata")
        if subject.through is None:
            return replace(subject, uid=pods.text(metadata, "uid"))
        return controller_of({"metadata": metadata}, subject.namespace) or asked


def _usable(path: str, answer: Answer) -> Answer:
    """The answer; one that says that the API server cannot now is none."""
    if answer.status == _TOO_MANY or answer.status >= _SERVER_ERRORS:
        raise UnreachableError(f"{path}: {answer.status}")
    return answer


def _namespace(subject: Subject) -> str:
    """Events on what has no namespace live in `default`."""
    return subject.namespace or "default"


def _timestamp(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
