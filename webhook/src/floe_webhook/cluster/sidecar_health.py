"""Whether the sidecar's image starts, judged by the pods that have it; every replica looks for itself.

    an injected pod whose sidecar cannot be pulled or crashes ──▶ environment only, for every pod from now on
    a probe pod with the same image runs (`sidecar_probe`) ──────▶ the sidecar again

Pods that wait to start are looked at page by page, and a page of the running ones in turn; none is kept. What makes
trouble is older than what has been seen to run since, or it is evidence: so a pod that hangs for ever is no reason for
ever. Times compared are the API server's alone.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from floe_certs.api import RefusedError
from floe_webhook import pod as pods
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.pod import Document
from floe_webhook.reload import CurrentProfile

SECONDS = 10.0
"""Between two looks: trouble is known within a kubelet's first attempt and two looks."""

FORGET_SECONDS = 600.0
"""Where no probe pod can be made, the sidecar is tried again after so long: nobody else could tell that it starts."""

_PAGE_PODS = 50
_PAGES_OF_WAITING = 10
_PAGES_OF_RUNNING = 1

_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable", "SignatureValidationFailed"}
)
_CONTAINER = frozenset({"CrashLoopBackOff", "CreateContainerError", "CreateContainerConfigError", "RunContainerError"})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a sidecar from starting.

    Attributes:
        reason: The kubelet's word, e.g. `ImagePullBackOff`.
        image: That does not start.
        newest: When the newest pod with this trouble was created, as the API server writes times.
    """

    reason: str
    image: str
    newest: str


def trouble_of(pod: Document, image: str) -> Trouble | None:
    """What keeps the sidecar of one pod from starting, if it has this image."""
    specified = [
        pods.text(container, "image")
        for container in pods.entries(pods.mapping(pod, "spec"), "initContainers")
        if pods.text(container, "name") == pods.SIDECAR_NAME
    ]
    if specified != [image]:
        return None
    for status in pods.entries(pods.mapping(pod, "status"), "initContainerStatuses"):
        if pods.text(status, "name") == pods.SIDECAR_NAME:
            reason = pods.text(status, "state", "waiting", "reason")
            if reason in _IMAGE or reason in _CONTAINER:
                return Trouble(reason, image, pods.text(pod, "metadata", "creationTimestamp"))
    return None


def runs(probe: Document, image: str) -> bool:
    """Whether a probe pod with this image has been seen to run: it answers the kubelet's probe."""
    containers = pods.entries(pods.mapping(probe, "spec"), "containers")
    statuses = pods.entries(pods.mapping(probe, "status"), "containerStatuses")
    return [pods.text(container, "image") for container in containers] == [image] and [
        pods.mapping(status).get("ready") for status in statuses
    ] == [True]


class SidecarHealth:
    """What is known of the sidecar's image now.

    Attributes:
        trouble: What keeps an image from starting; None while nothing is known to.
        looked: Set once the first look is over, whatever it found.
    """

    def __init__(
        self,
        api: KubernetesApi,
        profile: CurrentProfile,
        metrics: LookupMetrics,
        *,
        probe_path: str | None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Everything is well until a pod says otherwise.

        Args:
            api: Is asked.
            profile: Names the image.
            metrics: Take what is known.
            probe_path: Where the probe pod is; None without one.
            sleep: How to wait.
            monotonic: Seconds that a change of the clock does not move.
        """
        self.trouble: Trouble | None = None
        self.looked = asyncio.Event()
        self._api = api
        self._profile = profile
        self._probe_path = probe_path
        self._sleep = sleep
        self._monotonic = monotonic
        self._troubled_since = 0.0
        self._seen_to_run = ""  # what was created up to this time is no evidence any more
        self._waiting = _Turn("Pending", _PAGES_OF_WAITING)
        self._running = _Turn("Running", _PAGES_OF_RUNNING)
        self._gauge = metrics.sidecar_starts

    @property
    def starts(self) -> bool:
        """Whether the sidecar of the manifest in force starts, as far as is known."""
        return self.trouble is None or self.trouble.image != self._image()

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await self.look()
            await self._sleep(SECONDS)

    async def look(self) -> None:
        """Looks once.

        Raises:
            UnreachableError: There is no answer; what was known holds.
            RefusedError: Pods may not be listed.
        """
        try:
            if (image := self._image()) is not None:
                await self._look_at(image)
        finally:
            self.looked.set()

    def details(self) -> Mapping[str, object]:
        """For `/readyz`."""
        return {"starts": self.starts, "trouble": self.trouble.reason if self.trouble and not self.starts else None}

    async def _look_at(self, image: str) -> None:
        if self.trouble is not None and self.trouble.image != image:
            self._well("another image")
        found = await self._newest_trouble(image)
        if found is not None:
            self._in_trouble(found)
        if self.trouble is not None:
            await self._look_at_the_probe(self.trouble)

    def _image(self) -> str | None:
        sidecar = self._profile.profile.sidecar
        return sidecar.image if sidecar is not None else None

    async def _newest_trouble(self, image: str) -> Trouble | None:
        newest: Trouble | None = None
        for turn in (self._waiting, self._running):
            async for pod in turn.pods(self._api):
                found = trouble_of(pod, image)
                if found is not None and found.newest > self._seen_to_run:
                    newest = found if newest is None else replace(found, newest=max(newest.newest, found.newest))
        return newest

    async def _look_at_the_probe(self, trouble: Trouble) -> None:
        probe = await self._api.read(self._probe_path) if self._probe_path else None
        if probe is not None and runs(probe, trouble.image):
            created = pods.text(probe, "metadata", "creationTimestamp")
            # A probe that is older than the trouble proves nothing.
            if created >= trouble.newest:
                self._well("a probe pod runs", created)
        elif probe is None and self._monotonic() - self._troubled_since >= FORGET_SECONDS:
            self._well("nobody could probe it")

    def _in_trouble(self, found: Trouble) -> None:
        if self.trouble is None:
            self._troubled_since = self._monotonic()
            _log.error("the sidecar does not start: pods get environment only", reason=found.reason, image=found.image)
            self.trouble = found
        elif found.newest > self.trouble.newest:
            self.trouble = found
        self._gauge.set(0)

    def _well(self, because: str, seen_to_run: str = "") -> None:
        if self.trouble is not None:
            self._seen_to_run = max(seen_to_run, self.trouble.newest)
        self.trouble = None
        self._gauge.set(1)
        _log.info("pods get the sidecar again", because=because)


class _Turn:
    """Injected pods of one phase, some pages at a time; the next time goes on where this one ended."""

    def __init__(self, phase: str, pages: int) -> None:
        self._query = {
            "labelSelector": f"{pods.INJECTED_LABEL}=true",
            "fieldSelector": f"status.phase={phase}",
            "limit": str(_PAGE_PODS),
        }
        self._pages = pages
        self._following = ""

    async def pods(self, api: KubernetesApi) -> AsyncIterator[Document]:
        for _ in range(self._pages):
            query = self._query | ({"continue": self._following} if self._following else {})
            begun, self._following = bool(self._following), ""
            try:
                page = await api.read("/api/v1/pods", query=query)
            except RefusedError:
                if not begun:
                    raise
                return  # the list is forgotten (410): it begins anew the next time
            self._following = pods.text(page, "metadata", "continue")
            for pod in pods.entries(page, "items"):
                yield pod
            if not self._following:
                return
