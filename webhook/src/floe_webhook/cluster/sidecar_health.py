"""Whether the sidecar's image starts, judged by the pods that have it; every replica looks for itself.

    an injected pod whose sidecar cannot be pulled or crashes ──▶ whom does it concern (`sidecar_evidence`)?
      all: environment only, for every pod from now on ───▶ a probe pod runs, or a pod elsewhere is found to: no longer
      its namespace: environment only there ──────────────▶ until a while after the last such pod

Pods that wait to start are looked at page by page, and a page of the running ones in turn; none is kept, of those whose
sidecar runs only the namespace. While all would be concerned more of the running and of the ended ones are looked at.
What makes trouble is newer than the last probe pod that ran, or it is no evidence: so a pod that hangs for ever is no
reason for ever. Times compared are the API server's alone, but for how long a sidecar has run.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from floe_certs.api import RefusedError
from floe_webhook import pod as pods
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.cluster.probe_pods import ProbePods
from floe_webhook.cluster.sidecar_evidence import concerns_all
from floe_webhook.cluster.sidecar_trouble import Trouble, has_run, runs, trouble_of
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.pod import Document
from floe_webhook.reload import CurrentProfile

SECONDS = 10.0
"""Between two looks: trouble is known within a kubelet's first attempt and two looks."""

FORGET_SECONDS = 600.0
"""Where no probe pod can be made, the sidecar is tried again after so long: nobody else could tell that it starts."""

MOST_NAMESPACES = 1_000
"""Namespaces that are remembered at once for trouble, and for a sidecar that runs."""

_PAGE_PODS = 50
_PAGES_OF_WAITING = 10
_PAGES_OF_RUNNING = 1
_PAGES_OF_EVIDENCE = 5

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _InTrouble:
    """A namespace: the newest pod that showed it, and until when it is remembered."""

    trouble: Trouble
    until: float


class SidecarHealth:
    """What is known of the sidecar's image now.

    Attributes:
        trouble: What keeps an image from starting anywhere; None while nothing is known to.
        looked: Set once the first look is over, whatever it found.
    """

    def __init__(
        self,
        api: KubernetesApi,
        profile: CurrentProfile,
        metrics: LookupMetrics,
        *,
        probes: ProbePods | None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Everything is well until a pod says otherwise.

        Args:
            api: Is asked.
            profile: Names the image.
            metrics: Take what is known.
            probes: Where probe pods are; None without any.
            sleep: How to wait.
            monotonic: Seconds that a change of the clock does not move.
            now: Says for how long a sidecar has run.
        """
        self.trouble: Trouble | None = None
        self.looked = asyncio.Event()
        self._api = api
        self._profile = profile
        self._probes = probes
        self._sleep = sleep
        self._monotonic = monotonic
        self._now = now
        self._of_image = self._image()
        self._troubled_since = 0.0
        self._newest = ""  # when the newest pod in trouble was created
        self._seen_to_run = ""  # what was created up to this time is no evidence of trouble any more
        self._in_trouble: dict[str, _InTrouble] = {}
        self._runs: dict[str, str] = {}  # by namespace, the newest pod's creation
        self._own: set[str] = set()  # namespaces whose trouble is not the image's
        self._waiting = _Turn("Pending", _PAGES_OF_WAITING)
        self._running = _Turn("Running", _PAGES_OF_RUNNING)
        self._evidence = tuple(_Turn(phase, _PAGES_OF_EVIDENCE) for phase in ("Running", "Succeeded"))
        self._metrics = metrics

    @property
    def starts(self) -> bool:
        """Whether the sidecar of the manifest in force starts at all, as far as is known."""
        return self.trouble is None or self.trouble.image != self._image()

    def starts_in(self, namespace: str) -> bool:
        """Whether it starts in a namespace, as far as is known."""
        troubled = self._in_trouble.get(namespace)
        if troubled is not None and troubled.until > self._monotonic():
            return troubled.trouble.image != self._image()
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
            "troubled_namespaces": self._troubled_alone(),
        }

    async def _look_at(self, image: str) -> None:
        if image != self._of_image:
            self._begin_anew(image)
        self._forget()
        await self._take_in(image, self._waiting, self._running)
        if self._concerns_all():
            await self._take_in(image, *self._evidence)
        self._weigh()
        if self.trouble is not None:
            await self._look_at_probes(self.trouble)
        self._metrics.sidecar_starts.set(self.trouble is None)
        self._metrics.troubled_namespaces.set(self._troubled_alone())

    def _image(self) -> str | None:
        sidecar = self._profile.profile.sidecar
        return sidecar.image if sidecar is not None else None

    async def _take_in(self, image: str, *turns: "_Turn") -> None:
        """Takes from pods which of them are in trouble, and which run."""
        for turn in turns:
            async for pod in turn.pods(self._api):
                namespace = pods.text(pod, "metadata", "namespace")
                if (trouble := trouble_of(pod, image)) is not None:
                    self._note_trouble(namespace, trouble)
                elif has_run(pod, image, self._now()):
                    self._note_run(namespace, pods.text(pod, "metadata", "creationTimestamp"))

    def _note_trouble(self, namespace: str, trouble: Trouble) -> None:
        if trouble.created <= self._seen_to_run:
            return
        known = self._in_trouble.get(namespace)
        if known is None and len(self._in_trouble) >= MOST_NAMESPACES:
            return
        newest = trouble if known is None or trouble.created > known.trouble.created else known.trouble
        self._in_trouble[namespace] = _InTrouble(newest, self._monotonic() + FORGET_SECONDS)
        self._newest = max(self._newest, trouble.created)
        if known is None and self.trouble is None:
            _log.warning("the sidecar does not start in a namespace", namespace=namespace, reason=trouble.reason)

    def _note_run(self, namespace: str, created: str) -> None:
        if namespace in self._runs or len(self._runs) < MOST_NAMESPACES:
            self._runs[namespace] = max(created, self._runs.get(namespace, ""))

    def _concerns_all(self) -> bool:
        """What is known to concern all does so until something is seen to run."""
        if self.trouble is not None and not self._runs:
            return True
        troubles = {namespace: one.trouble.created for namespace, one in self._in_trouble.items()}
        return concerns_all(troubles, self._runs, self._own)

    def _weigh(self) -> None:
        if not self._concerns_all():
            if self.trouble is not None:
                self.trouble = None
                _log.info("pods get the sidecar again", because="it runs elsewhere")
        elif self.trouble is None:
            newest = max((one.trouble for one in self._in_trouble.values()), key=lambda trouble: trouble.created)
            self.trouble, self._troubled_since = newest, self._monotonic()
            _log.error(
                "the sidecar does not start: pods get environment only", reason=newest.reason, image=newest.image
            )

    async def _look_at_probes(self, trouble: Trouble) -> None:
        probes = await self._probes.found() if self._probes is not None else []
        created = [pods.text(probe, "metadata", "creationTimestamp") for probe in probes if runs(probe, trouble.image)]
        # A probe that is older than the trouble proves nothing.
        if created and max(created) >= trouble.created:
            self._own.update(self._in_trouble.keys() if len(self._own) < MOST_NAMESPACES else ())
            if self._probes is not None:
                self._note_run(self._probes.namespace, max(created))
            self._well("a probe pod runs", max(*created, self._newest))
        elif not probes and self._monotonic() - self._troubled_since >= FORGET_SECONDS:
            self._well("nobody could probe it", self._newest)

    def _well(self, because: str, seen_to_run: str) -> None:
        self.trouble, self._seen_to_run = None, seen_to_run
        self._in_trouble.clear()
        _log.info("pods get the sidecar again", because=because)

    def _begin_anew(self, image: str) -> None:
        self._of_image, self.trouble = image, None
        for known in (self._in_trouble, self._runs, self._own):
            known.clear()
        _log.info("another sidecar's image is looked at")

    def _forget(self) -> None:
        now = self._monotonic()
        self._in_trouble = {namespace: one for namespace, one in self._in_trouble.items() if one.until > now}

    def _troubled_alone(self) -> int:
        return len(self._in_trouble) if self.trouble is None else 0


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
