"""Looks again and again for running pods that should have been injected and were not, and says so.

Only metadata travel, and only of pods that are not injected: the API server selects. A namespace's silent pods are
listed if the namespace opted in; pods with a label of their own in one list for all. What metadata cannot tell is asked
of the pod itself, so many in a round; pods beyond that wait for the next round and are not told before.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog

from floe_certs.api import RefusedError, UnreachableError
from floe_webhook import pod as pods
from floe_webhook.announcements import Announcer, Subject, about
from floe_webhook.cluster.api import METADATA_ONLY
from floe_webhook.cluster.eviction import Eviction, Evictions
from floe_webhook.decision import YES
from floe_webhook.missed import (
    MissedPod,
    Surroundings,
    Verdict,
    announcement,
    counts,
    is_confirmed,
    missed,
    unknown_labels,
)
from floe_webhook.pod import Document
from floe_webhook.profile import Profile
from floe_webhook.reasons import Reason

INTERVAL = timedelta(minutes=5)
MOST_CONFIRMED = 50
"""Pods that are read as a whole in a round."""

MOST_KEPT = 1000
"""Pods of which more is kept than their number."""

_MOST_REMEMBERED = 4096
_RUNNING = {"fieldSelector": "status.phase=Running"}
_SILENT = {**_RUNNING, "labelSelector": f"!{pods.INJECT_LABEL},!{pods.INJECTED_LABEL}"}
_SPEAKING = {**_RUNNING, "labelSelector": f"{pods.INJECT_LABEL},!{pods.INJECTED_LABEL}"}

_log = structlog.get_logger(__name__)


class ListingApi(Protocol):
    """The part of `KubernetesApi` that is needed here."""

    async def read(self, path: str) -> Document | None:
        """See `KubernetesApi`."""
        ...

    def pages(
        self, path: str, *, query: Mapping[str, str] | None = None, accept: str = ...
    ) -> AsyncIterator[Sequence[Document]]:
        """See `KubernetesApi`."""
        ...


class MissedPodsObserver(Protocol):
    """Counts what is found."""

    def looked(self, found: Mapping[Verdict, int]) -> None:
        """A round is over."""
        ...

    def counted(self, found: Mapping[Verdict, int]) -> None:
        """What is known now; nothing once this replica does not lead any more."""
        ...

    def evicted(self, result: Eviction) -> None:
        """What became of an eviction."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """What a round found.

    Attributes:
        counts: Pods of each verdict; namespaces for `NAMESPACE_LABEL_UNKNOWN`.
        unconfirmed: Pods that look missed and could not be read as a whole yet.
    """

    at: datetime
    counts: Mapping[Verdict, int]
    unknown_namespaces: tuple[str, ...]
    unconfirmed: int

    def details(self) -> Mapping[str, Any]:
        """For `/readyz`: numbers only, as everybody in the cluster may read them."""
        return {
            "at": self.at.isoformat(),
            **{str(verdict): count for verdict, count in self.counts.items()},
            "unconfirmed": self.unconfirmed,
        }


@dataclass(slots=True)
class _Suspects:
    """What a round has to look at more closely, and the number of what it has not."""

    pods: list[MissedPod] = field(default_factory=list)
    older: int = 0
    beyond: int = 0


@dataclass(slots=True)
class MissedPods:
    """The leader's duty.

    Attributes:
        profile: The one in force.
        webhook_configuration: Its age is how long pods can have been injected; None if nobody knows its name.
        report: Of the last round; None before the first one.
    """

    api: ListingApi
    profile: Callable[[], Profile]
    announcer: Announcer
    observer: MissedPodsObserver
    webhook_configuration: str | None = None
    evictions: Evictions | None = None
    interval: timedelta = INTERVAL
    most_confirmed: int = MOST_CONFIRMED
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    report: Report | None = field(init=False, default=None)
    _confirmed: OrderedDict[tuple[str, str], bool] = field(init=False, default_factory=OrderedDict)

    async def run(self) -> None:
        """Looks until it is cancelled.

        Raises:
            RefusedError: The API server refuses, e.g. for want of rights.
        """
        try:
            while True:
                try:
                    await self.look()
                except UnreachableError as error:
                    _log.warning("missed pods cannot be looked for now", reason=str(error))
                await asyncio.sleep(self.interval.total_seconds())
        finally:
            self.report = None
            self.observer.counted({})

    async def look(self) -> Report:
        """One round.

        Raises:
            UnreachableError: The API server does not answer; nothing is told of this round.
            RefusedError: The API server refuses.
        """
        surroundings = await self._surroundings()
        suspects = await self._suspects(surroundings)
        found, unconfirmed = await self._confirm(suspects.pods, surroundings)
        unknown = tuple(unknown_labels(surroundings.namespaces.values()))
        # Pods of such a namespace are not looked at: it has not opted in.
        counted = {**counts(found), Verdict.OLDER: suspects.older, Verdict.NAMESPACE_LABEL_UNKNOWN: len(unknown)}
        self.report = Report(self.now(), counted, unknown, unconfirmed + suspects.beyond)
        self.observer.looked(counted)
        self._announce(found)
        self._announce_namespaces(unknown, surroundings)
        if self.evictions is not None:
            for result in await self.evictions.evict(found):
                self.observer.evicted(result)
        return self.report

    async def _surroundings(self) -> Surroundings:
        namespaces: dict[str, Document] = {}
        selected = {"labelSelector": pods.INJECT_LABEL}
        async for page in self.api.pages("/api/v1/namespaces", query=selected, accept=METADATA_ONLY):
            namespaces |= {pods.text(namespace, "metadata", "name"): namespace for namespace in page}
        excluded = self.profile().rules.excluded_namespaces
        return Surroundings(namespaces, excluded, await self._installed_at())

    async def _installed_at(self) -> datetime | None:
        if self.webhook_configuration is None:
            return None
        collection = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        try:
            configuration = await self.api.read(f"{collection}/{self.webhook_configuration}")
        except RefusedError:
            return None
        created = pods.text(configuration, "metadata", "creationTimestamp")
        return datetime.fromisoformat(created) if created else None

    async def _suspects(self, surroundings: Surroundings) -> _Suspects:
        """What metadata say; of very many pods only the number is kept."""
        found = _Suspects()
        for path, query in [("/api/v1/pods", _SPEAKING), *self._silent_lists(surroundings)]:
            async for page in self.api.pages(path, query=query, accept=METADATA_ONLY):
                for pod in missed(page, surroundings):
                    if pod.verdict is Verdict.OLDER:
                        found.older += 1
                    elif len(found.pods) < MOST_KEPT:
                        found.pods.append(pod)
                    else:
                        found.beyond += 1
        return found

    @staticmethod
    def _silent_lists(surroundings: Surroundings) -> list[tuple[str, Mapping[str, str]]]:
        return [
            (f"/api/v1/namespaces/{namespace}/pods", _SILENT)
            for namespace in surroundings.namespaces
            if surroundings.label_of(namespace) in YES and namespace not in surroundings.excluded_namespaces
        ]

    async def _confirm(self, suspects: Sequence[MissedPod], surroundings: Surroundings) -> tuple[list[MissedPod], int]:
        """What stays of the suspects, and how many could not be asked for yet."""
        found: list[MissedPod] = []
        asked = unconfirmed = 0
        profile = self.profile()
        for suspect in suspects:
            if suspect.verdict is not Verdict.MISSED:
                found.append(suspect)
                continue
            key = (suspect.uid, profile.identity)
            if key not in self._confirmed:
                if asked >= self.most_confirmed:
                    unconfirmed += 1
                    continue
                asked += 1
                self._remember(key, confirmed=await self._is_confirmed(suspect, surroundings, profile))
            if self._confirmed[key]:
                found.append(suspect)
        return found, unconfirmed

    async def _is_confirmed(self, suspect: MissedPod, surroundings: Surroundings, profile: Profile) -> bool:
        pod = await self.api.read(f"/api/v1/namespaces/{suspect.namespace}/pods/{suspect.name}")
        is_same = pods.text(pod, "metadata", "uid") == suspect.uid
        return pod is not None and is_same and is_confirmed(pod, surroundings, profile)

    def _remember(self, key: tuple[str, str], *, confirmed: bool) -> None:
        self._confirmed[key] = confirmed
        if len(self._confirmed) > _MOST_REMEMBERED:
            self._confirmed.popitem(last=False)

    def _announce(self, found: Sequence[MissedPod]) -> None:
        # That a pod is older than an opt-in is the ordinary course of things, and no news.
        for pod in found:
            self.announcer.announce(announcement(pod))

    def _announce_namespaces(self, names: Sequence[str], surroundings: Surroundings) -> None:
        for name in names:
            uid = pods.text(surroundings.namespaces[name], "metadata", "uid")
            self.announcer.announce(about(Subject("", "Namespace", name, "v1", uid), Reason.NAMESPACE_LABEL_UNKNOWN))
