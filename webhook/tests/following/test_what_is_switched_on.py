"""Which duties and followers there are, and who is told of the manifest."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from floe_webhook.admission import Problem, Review
from floe_webhook.announcements import Subject
from floe_webhook.cluster.events import Events
from floe_webhook.following import Follow, Following, FollowSettings, ManifestProblems, following
from floe_webhook.following_metrics import FollowingMetrics
from floe_webhook.metrics import Metrics
from floe_webhook.reload import CurrentProfile
from webhook.tests.builders import PROFILE, injected, pod
from webhook.tests.following.cluster import cluster
from webhook.tests.following.noted import Noted
from webhook.tests.waiting import until

pytestmark = pytest.mark.requirement("HOUSE-3", "HOUSE-11", "HOUSE-12")

DEPLOYMENT = Subject("floe-system", "Deployment", "webhook", "apps/v1")


async def switched_on(*enabled: Follow, **settings: Any) -> Following:
    async with cluster() as (_, api):
        profile = CurrentProfile(Path("floe.yaml"), PROFILE, Metrics(), lambda _: PROFILE)
        told = FollowSettings(enabled=frozenset(enabled), namespace="floe-system", **settings)
        return following(told, api, profile, FollowingMetrics(CollectorRegistry()), api)


@pytest.mark.parametrize(
    ("enabled", "duties", "followers"),
    [
        pytest.param((), set(), set(), id="nothing"),
        pytest.param((Follow.EVENTS,), set(), {"events", "manifest events"}, id="events"),
        pytest.param((Follow.MISSED_PODS,), {"missed pods"}, set(), id="missed pods"),
        pytest.param((Follow.ENDED_PODS,), {"ended pods"}, set(), id="ended pods"),
        pytest.param(tuple(Follow), {"missed pods", "ended pods"}, {"events", "manifest events"}, id="everything"),
    ],
)
async def test_only_what_is_asked_for_is_done(
    enabled: tuple[Follow, ...], duties: set[str], followers: set[str]
) -> None:
    found = await switched_on(*enabled, deployment="webhook")

    assert (set(found.duties), set(found.followers)) == (duties, followers)
    assert isinstance(found.announcer, Events) is (Follow.EVENTS in enabled)
    assert found.details() == {}


async def test_evicting_is_switched_on_by_a_budget_alone() -> None:
    without, with_budget = [await switched_on(Follow.MISSED_PODS, evict_per_round=count) for count in (0, 3)]

    assert without.missed_pods is not None
    assert without.missed_pods.evictions is None
    assert with_budget.missed_pods is not None
    assert with_budget.missed_pods.evictions is not None


def test_admissions_and_failures_to_decide_are_told_and_dry_runs_are_not() -> None:
    noted = Noted()
    told = Following(noted)
    document = pod(hostNetwork=True)
    for dry_run in (True, False):
        review = Review("1", document, "sales", dry_run)
        told.witness(review, injected(document))
        told.failed(review, Problem.INTERNAL_ERROR)

    assert [one.reason for one in noted.announced] == ["HostNetwork", "InternalError"]


async def test_a_refused_manifest_is_told_once_and_its_recovery_too() -> None:
    noted, errors = Noted(), ["plugins: unknown key"]
    task = asyncio.create_task(ManifestProblems(lambda: errors[0] if errors else None, noted, DEPLOYMENT, 0.01).run())
    try:
        await until(lambda: len(noted.announced) == 1, "told of the refusal")
        errors.clear()
        await until(lambda: len(noted.announced) == 2, "told of the recovery")
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    refused, in_force = noted.announced
    assert (refused.reason, refused.warning, refused.subject) == ("ManifestRefused", True, DEPLOYMENT)
    assert refused.message.endswith("plugins: unknown key")
    assert (in_force.reason, in_force.warning) == ("ManifestInForce", False)
