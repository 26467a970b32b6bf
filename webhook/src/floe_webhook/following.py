"""What happens to pods after their admission, put together: Events, missed pods, ended pods.

Nothing is done unless it is switched on (`--follow`), because each needs rights that an administrator has to grant.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import aiohttp

from floe_certs.kubernetes import Request
from floe_webhook.admission import Problem, Review
from floe_webhook.announcements import MOST_CHARACTERS, Announcement, Announcer, Silence, Subject, announce_admission
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.cluster.ended_pods import EndedPods
from floe_webhook.cluster.events import Events
from floe_webhook.cluster.eviction import EvictionBudget, Evictions
from floe_webhook.cluster.lineage_sender import LineageSender
from floe_webhook.cluster.missed_pods import INTERVAL, MissedPods
from floe_webhook.cluster.progress import ConfigMapProgress, NoProgress, Progress
from floe_webhook.following_metrics import FollowingMetrics
from floe_webhook.injection import Injection
from floe_webhook.leading import Duty
from floe_webhook.reload import CurrentProfile

LOOK_SECONDS = 1.0
"""Between two looks at whether the manifest is refused."""


class Follow(StrEnum):
    """Something to do after admissions; the value is what `--follow` takes."""

    EVENTS = "events"
    MISSED_PODS = "missed-pods"
    ENDED_PODS = "ended-pods"


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowSettings:
    """What is done, and how.

    Attributes:
        evict_per_round: Missed pods that are evicted in a round; 0 evicts none.
        progress: ConfigMap that keeps how far ended pods were told; None keeps nothing.
        gateway_token_file: Holds the token of the release's namespace for the gateway.
        deployment: The webhook's own, on which people are told of the manifest.
    """

    enabled: frozenset[Follow] = frozenset()
    instance: str = ""
    namespace: str = ""
    missed_pods_interval: timedelta = INTERVAL
    evict_per_round: int = 0
    progress: str | None = None
    gateway_token_file: Path | None = None
    deployment: str | None = None
    webhook_configuration: str | None = None


@dataclass(slots=True)
class Following:
    """The parts that are switched on.

    Attributes:
        announcer: For whoever else has something to tell.
        duties: For the replica that leads.
        followers: For every replica.
    """

    announcer: Announcer = field(default_factory=Silence)
    duties: dict[str, Duty] = field(default_factory=dict)
    followers: dict[str, Duty] = field(default_factory=dict)
    missed_pods: MissedPods | None = None

    def witness(self, review: Review, injection: Injection) -> None:
        """Tells what is worth telling of an admission."""
        announce_admission(self.announcer, review, injection.plan.decision.reasons)

    def failed(self, review: Review, problem: Problem) -> None:
        """Tells that an admission could not be decided upon."""
        announce_admission(self.announcer, review, [problem])

    def details(self) -> Mapping[str, Any]:
        """For `/readyz`."""
        report = self.missed_pods.report if self.missed_pods is not None else None
        return {} if report is None else {"missed_pods": report.details()}


def following(
    settings: FollowSettings,
    api: KubernetesApi,
    profile: CurrentProfile,
    metrics: FollowingMetrics,
    creating: Request,
) -> Following:
    """Puts the parts together.

    Args:
        settings: What is switched on.
        api: Asks the API server.
        profile: The one in force.
        metrics: Count what happens.
        creating: Sends requests; what it creates belongs to the release.
    """
    found = Following()
    if Follow.EVENTS in settings.enabled:
        events = Events(api, settings.instance, metrics)
        found.announcer, found.followers["events"] = events, events
        if settings.deployment is not None:
            subject = Subject(settings.namespace, "Deployment", settings.deployment, "apps/v1")
            found.followers["manifest events"] = ManifestProblems(lambda: profile.error, events, subject)
    if Follow.MISSED_PODS in settings.enabled:
        evictions = Evictions(api, EvictionBudget(settings.evict_per_round)) if settings.evict_per_round else None
        found.missed_pods = MissedPods(
            api,
            lambda: profile.profile,
            found.announcer,
            metrics,
            webhook_configuration=settings.webhook_configuration,
            evictions=evictions,
            interval=settings.missed_pods_interval,
        )
        found.duties["missed pods"] = found.missed_pods
    if Follow.ENDED_PODS in settings.enabled:
        progress: Progress = NoProgress()
        if settings.progress is not None:
            progress = ConfigMapProgress(creating, settings.namespace, settings.progress)
        found.duties["ended pods"] = EndedPodRuns(
            api, lambda: profile.profile.gateway, settings.gateway_token_file, progress, found.announcer, metrics
        )
    return found


@dataclass(frozen=True, slots=True)
class EndedPodRuns:
    """Follows ended pods and sends their runs to the gateway, over connections of its own."""

    api: KubernetesApi
    origin: Callable[[], str | None]
    token_file: Path | None
    progress: Progress
    announcer: Announcer
    metrics: FollowingMetrics

    async def run(self) -> None:
        """See `Duty`."""
        async with aiohttp.ClientSession() as session:
            sender = LineageSender(session, self.origin, token_file=self.token_file, retried=self.metrics.retried)
            await EndedPods(self.api, sender, self.progress, self.announcer, self.metrics).run()


@dataclass(frozen=True, slots=True)
class ManifestProblems:
    """Tells on the webhook's Deployment that a manifest is refused, and that one is in force again.

    Attributes:
        error: What is wrong with the manifest as it is now; None if it is in force.
    """

    error: Callable[[], str | None]
    announcer: Announcer
    subject: Subject
    look_seconds: float = LOOK_SECONDS

    async def run(self) -> None:
        """See `Duty`."""
        told: str | None = None
        while True:
            error = self.error()
            if error != told:
                self.announcer.announce(self._announcement(error))
                told = error
            await asyncio.sleep(self.look_seconds)

    def _announcement(self, error: str | None) -> Announcement:
        if error is None:
            return Announcement(self.subject, "ManifestInForce", "The manifest is in force again.", warning=False)
        message = f"The manifest is refused, the last good one stays in force: {error}"
        return Announcement(self.subject, "ManifestRefused", message[:MOST_CHARACTERS])
