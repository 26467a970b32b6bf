"""Whether the sidecar's image starts, judged by the pods that have it; every replica looks for itself.

    an injected pod whose sidecar cannot be pulled or crashes ──▶ environment only, for every pod from now on
    a probe pod with the same image runs (`sidecar_probe`) ──────▶ the sidecar again
    trouble with an image that has run ──────────────────────────▶ environment only in that namespace, while it lasts
    the same in several namespaces ──────────────────────────────▶ as at first

Pods that wait to start are looked at page by page, and a page of the running ones in turn; none is kept. What makes
trouble is older than what has been seen to run since, or it is evidence: so a pod that hangs for ever is no reason for
ever. Nor is a namespace that cannot pull, or whose pods name our image and break it, a reason for the others. Times
compared are the API server's alone.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import structlog

from floe_certs.api import RefusedError
from floe_webhook import pod as pods
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.cluster.sidecar_trouble import Trouble, runs, trouble_of
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.pod import Document
from floe_webhook.reload import CurrentProfile

SECONDS = 10.0
"""Between two looks: trouble is known within a kubelet's first attempt and two looks."""

FORGET_SECONDS = 600.0
"""Where no probe pod can be made, the sidecar is tried again after so long: nobody else could tell that it starts."""

SEVERAL_NAMESPACES = 3
"""Trouble in so many at once is the image's, whatever has run before: it may be gone from its registry."""

_PAGE_PODS = 50
_PAGES_OF_WAITING = 10
_PAGES_OF_RUNNING = 1

_log = structlog.get_logger(__name__)


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
        self._of_image = self._image()
        self._has_run = False
        self._troubled_since = 0.0
        self._newest = ""  # when the newest pod in trouble was created
        self._seen_to_run = ""  # what was created up to this time is no evidence any more
        self._until: dict[str, float] = {}  # namespaces that are in trouble alone
        self._waiting = _Turn("Pending", _PAGES_OF_WAITING)
        self._running = _Turn("Running", _PAGES_OF_RUNNING)
        self._metrics = metrics

    @property
    def starts(self) -> bool:
        """Whether the sidecar of the manifest in force starts at all, as far as is known."""
        return self.trouble is None or self.trouble.image != self._image()

    def starts_in(self, namespace: str) -> bool:
        """Whether it starts in a namespace, as far as is known."""
        if namespace in self._until and self._until[namespace] > self._monotonic():
            return self._of_image != self._image()
        return self.starts

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
        return {
            "starts": self.starts,
            "trouble": self.trouble.reason if self.trouble and not self.starts else None,
            "troubled_namespaces": len(self._until),
        }

    async def _look_at(self, image: str) -> None:
        if image != self._of_image:
            self._begin_anew(image)
        found = await self._troubles(image)
        self._forget_namespaces()
        if found:
            self._weigh(found)
        if self.trouble is not None:
            await self._look_at_the_probe(self.trouble)
        self._metrics.sidecar_starts.set(self.trouble is None)
        self._metrics.troubled_namespaces.set(len(self._until))

    def _image(self) -> str | None:
        sidecar = self._profile.profile.sidecar
        return sidecar.image if sidecar is not None else None

    async def _troubles(self, image: str) -> Mapping[str, Trouble]:
        """The newest by namespace."""
        newest: dict[str, Trouble] = {}
        for turn in (self._waiting, self._running):
            async for pod in turn.pods(self._api):
                found = trouble_of(pod, image)
                if found is None or found.created <= self._seen_to_run:
                    continue
                namespace = pods.text(pod, "metadata", "namespace")
                if namespace not in newest or found.created > newest[namespace].created:
                    newest[namespace] = found
        return newest

    def _weigh(self, found: Mapping[str, Trouble]) -> None:
        newest = max(found.values(), key=lambda one: one.created)
        self._newest = max(self._newest, newest.created)
        if self.trouble is not None:
            return
        now = self._monotonic()
        if self._has_run and len(self._until.keys() | found) < SEVERAL_NAMESPACES:
            for namespace in found.keys() - self._until:
                _log.warning("the sidecar does not start in a namespace", namespace=namespace, reason=newest.reason)
            self._until |= dict.fromkeys(found, now + FORGET_SECONDS)
            return
        _log.error("the sidecar does not start: pods get environment only", reason=newest.reason, image=newest.image)
        self.trouble, self._troubled_since, self._has_run = newest, now, False
        self._until.clear()

    async def _look_at_the_probe(self, trouble: Trouble) -> None:
        probe = await self._api.read(self._probe_path) if self._probe_path else None
        if probe is not None and runs(probe, trouble.image):
            created = pods.text(probe, "metadata", "creationTimestamp")
            # A probe that is older than the trouble proves nothing.
            if created >= trouble.created:
                self._has_run = True
                self._well("a probe pod runs", max(created, self._newest))
        elif probe is None and self._monotonic() - self._troubled_since >= FORGET_SECONDS:
            self._well("nobody could probe it", self._newest)

    def _well(self, because: str, seen_to_run: str) -> None:
        self.trouble, self._seen_to_run = None, seen_to_run
        _log.info("pods get the sidecar again", because=because)

    def _begin_anew(self, image: str) -> None:
        self._of_image, self._has_run, self.trouble = image, False, None
        self._until.clear()
        _log.info("another sidecar's image is looked at")

    def _forget_namespaces(self) -> None:
        now = self._monotonic()
        self._until = {namespace: until for namespace, until in self._until.items() if until > now}


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
