"""Follows the injected pods that end: what only the API server knows of them becomes lineage, metrics and Events.

    list what has ended, page by page ──▶ watch from there ──▶ waiting room ──▶ sender ──▶ progress is kept
            ▲                                   │ ends: watch on
            └──── 410: too old ─────────────────┘

Nobody keeps pods: a pod is read, turned into its events (`floe_webhook.pod_runs`) and forgotten; what stays are the
UIDs of the last pods, so that a later change of an ended pod tells nothing again. The waiting room is bounded; when it
is full, nothing is read from the API server, which keeps the pods for us. Progress moves on only when events were
taken, so a new leader repeats the last few seconds at most, with the same bytes, run ids and idempotency keys.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import structlog

from floe_certs.api import RefusedError, UnreachableError
from floe_certs.kubernetes import Answer
from floe_webhook import pod as pods
from floe_webhook.announcements import Announcement, Announcer, subject_of
from floe_webhook.cluster.lineage_sender import Outcome
from floe_webhook.cluster.progress import Progress
from floe_webhook.endings import End, SidecarReport, ending_of, has_sidecar, sidecar_report
from floe_webhook.failures import places
from floe_webhook.pod import Document
from floe_webhook.pod_runs import events_of

PATH = "/api/v1/pods"
SELECTED: Mapping[str, str] = {
    "labelSelector": f"{pods.INJECTED_LABEL}=true",
    # A field selector knows no `in`; what is left is Succeeded and Failed.
    "fieldSelector": "status.phase!=Pending,status.phase!=Running,status.phase!=Unknown",
}
PAGE_PODS = 50
"""Whole pods, tens of kilobytes each: a page is small, so that following costs the webhook no memory."""

MOST_WAITING = 256
"""Pods whose events wait to be sent: a few kilobytes each."""

MOST_REMEMBERED = 16384
"""UIDs of pods that were told: a megabyte or two."""

KEEP_SECONDS = 10.0
"""How often progress is kept at most."""

LAST_WRITE_SECONDS = 2.0
"""For keeping progress at the end, within the time that a duty has to end."""

PAUSE_SECONDS = 1.0
"""Between two watches, and before what failed is tried again."""

UNSENT = (
    "LineageUnsent",
    "The sidecar ended with events that it could neither deliver nor hand over, and they are lost: docs/pod-runs.md.",
)

_OK = range(200, 300)
_GONE, _TOO_MANY, _SERVER_ERRORS = 410, 429, 500

_log = structlog.get_logger(__name__)


class Unsent(StrEnum):
    """What the sidecar of an ended pod reported."""

    ALL_SENT = "all_sent"
    UNSENT = "unsent"
    NO_EVENTS = "no_events"
    NO_REPORT = "no_report"


class PodsApi(Protocol):
    """The part of `KubernetesApi` that is needed here."""

    async def __call__(self, method: str, path: str, *, query: Mapping[str, str] | None = None) -> Answer:
        """See `KubernetesApi`."""
        ...

    def watch(self, path: str, *, query: Mapping[str, str]) -> AsyncIterator[Document]:
        """See `KubernetesApi`."""
        ...


class Sender(Protocol):
    """Sends a pod's events."""

    async def send(self, events: Sequence[bytes]) -> Outcome:
        """Returns when they need not be sent again."""
        ...


class EndedPodsObserver(Protocol):
    """Counts what is found."""

    def ended(self, end: End) -> None:
        """A pod has ended."""
        ...

    def sent(self, outcome: Outcome) -> None:
        """What became of a pod's events."""
        ...

    def waiting(self, pods: int) -> None:
        """So many pods' events wait to be sent."""
        ...

    def reported(self, unsent: Unsent, report: SidecarReport | None) -> None:
        """What its sidecar said."""
        ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    """What is to be done in its turn.

    Attributes:
        events: Of a pod, to be sent.
        outcome: What is counted if there are no events; None if this is about no pod.
        version: The `resourceVersion` up to which all is told after that; empty for none.
    """

    events: tuple[bytes, ...]
    outcome: Outcome | None
    version: str


@dataclass(slots=True)
class EndedPods:
    """The leader's duty."""

    api: PodsApi
    sender: Sender
    progress: Progress
    announcer: Announcer
    observer: EndedPodsObserver
    pause_seconds: float = PAUSE_SECONDS
    monotonic: Callable[[], float] = time.monotonic
    _told: OrderedDict[str, None] = field(init=False, default_factory=OrderedDict)
    _room: asyncio.Queue[_Waiting] = field(init=False)

    async def run(self) -> None:
        """Follows until it is cancelled.

        Raises:
            ExceptionGroup: The API server refuses.
        """
        self._room = asyncio.Queue(MOST_WAITING)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            tasks.create_task(self._follow())

    async def _follow(self) -> None:
        version = before = await self._kept()
        while True:
            try:
                if not version:
                    version = await self._list(before)
                version = before = await self._watch(version)
            except UnreachableError as error:
                _log.warning("ended pods cannot be followed now", reason=str(error))
                await asyncio.sleep(self.pause_seconds)
            except _TooOldError:
                version = ""
                await asyncio.sleep(self.pause_seconds)

    async def _kept(self) -> str:
        while True:
            try:
                return await self.progress.read()
            except UnreachableError:
                await asyncio.sleep(self.pause_seconds)

    async def _list(self, before: str) -> str:
        """Takes what has ended and is newer than a version; says up to which version that is all."""
        query = dict(SELECTED) | {"limit": str(PAGE_PODS)}
        version = ""
        while True:
            document = _accepted(await self.api("GET", PATH, query=query))
            version = pods.text(document, "metadata", "resourceVersion") or version
            for pod in pods.entries(document, "items"):
                if not _is_told(pods.text(pod, "metadata", "resourceVersion"), before):
                    await self._take(pod, "")
            query["continue"] = pods.text(document, "metadata", "continue")
            if not query["continue"]:
                await self._room.put(_Waiting((), None, version))
                return version

    async def _watch(self, version: str) -> str:
        """Takes what ends from a version on, until the watch ends; says how far it came.

        Raises:
            RefusedError: The API server refuses.
            _TooOldError: It does not remember that version.
        """
        query = dict(SELECTED) | {"resourceVersion": version}
        try:
            async for event in self.api.watch(PATH, query=query):
                found, kind = pods.mapping(event, "object"), pods.text(event, "type")
                if kind == "ERROR":
                    raise _TooOldError
                version = pods.text(found, "metadata", "resourceVersion") or version
                if kind == "BOOKMARK":
                    await self._room.put(_Waiting((), None, version))
                else:
                    await self._take(found, version)
        except UnreachableError as error:
            _log.info("the watch of ended pods broke", reason=str(error))
        except RefusedError as error:
            if str(_GONE) in str(error).split():
                raise _TooOldError from None
            raise
        await asyncio.sleep(self.pause_seconds)
        return version

    async def _take(self, pod: Document, version: str) -> None:
        """Tells what there is to tell of a pod; waits if there is no room."""
        uid = pods.text(pod, "metadata", "uid")
        if uid in self._told:
            await self._room.put(_Waiting((), None, version))
            return
        await self._room.put(self._read(pod, version))
        self.observer.waiting(self._room.qsize())
        self._told[uid] = None
        if len(self._told) > MOST_REMEMBERED:
            self._told.popitem(last=False)

    def _read(self, pod: Document, version: str) -> _Waiting:
        try:
            events = events_of(pod)
            self.observer.ended(ending_of(pod).state)
            if has_sidecar(pod):
                self._hear(pod)
        except Exception as error:  # noqa: BLE001 - the edge of a loop: one pod must not hold up all others
            _log.error("an ended pod cannot be read", error=type(error).__name__, at=places(error))
            return _Waiting((), Outcome.UNREADABLE, version)
        return _Waiting(events, Outcome.SENT if events else Outcome.UNNAMED, version)

    def _hear(self, pod: Document) -> None:
        report = sidecar_report(pod)
        if report is None:
            said = Unsent.NO_REPORT
        elif report.unsent:
            said = Unsent.UNSENT
        else:
            said = Unsent.ALL_SENT if report.acked else Unsent.NO_EVENTS
        self.observer.reported(said, report)
        subject = subject_of(pod, pods.text(pod, "metadata", "namespace"))
        if said is Unsent.UNSENT and subject is not None:
            self.announcer.announce(Announcement(subject, *UNSENT))

    async def _send(self) -> None:
        taken = kept = ""
        kept_at = self.monotonic()
        try:
            while True:
                waiting = await self._room.get()
                if waiting.outcome is not None:
                    outcome = await self.sender.send(waiting.events) if waiting.events else waiting.outcome
                    self.observer.sent(outcome)
                    self.observer.waiting(self._room.qsize())
                taken = waiting.version or taken
                if taken != kept and (not kept or self.monotonic() - kept_at >= KEEP_SECONDS):
                    await self.progress.write(taken)
                    kept, kept_at = taken, self.monotonic()
        finally:
            # Whoever leads next need not tell the last seconds again.
            if taken != kept:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.progress.write(taken), LAST_WRITE_SECONDS)


class _TooOldError(Exception):
    """The API server does not remember a `resourceVersion` any more."""


def _accepted(answer: Answer) -> Document:
    if answer.status in _OK:
        return answer.document
    if answer.status == _GONE:
        raise _TooOldError
    if answer.status == _TOO_MANY or answer.status >= _SERVER_ERRORS:
        raise UnreachableError(f"GET {PATH}: {answer.status}")
    raise RefusedError(f"GET {PATH}: {answer.status}")


def _is_told(version: str, before: str) -> bool:
    """Whether a pod is no newer than what was told; versions of one resource are numbers that grow (KEP-5504)."""
    return version.isdigit() and before.isdigit() and int(version) <= int(before)
