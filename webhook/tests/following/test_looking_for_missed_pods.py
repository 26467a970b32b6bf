"""The leader's rounds over a cluster: what is found, told, confirmed and evicted, and what travels for it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from floe_webhook.announcements import Subject
from floe_webhook.cluster.eviction import Eviction, EvictionBudget, Evictions, chosen
from floe_webhook.cluster.missed_pods import MissedPods
from floe_webhook.missed import MissedPod, Verdict
from webhook.tests.builders import PROFILE, container, owner, pod
from webhook.tests.following.cluster import Cluster, cluster
from webhook.tests.following.noted import Noted
from webhook.tests.waiting import until

pytestmark = pytest.mark.requirement("FP-1", "FP-22", "FP-27")

CREATED = "2026-11-21T10:00:00Z"
ROUND_AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
REPLICA_SET = owner("ReplicaSet", "web-5d9")


def running(name: str, label: str | None = None, **fields: Any) -> dict[str, Any]:
    """A running pod of a Deployment that nobody has injected."""
    metadata = {"namespace": "sales", "uid": f"uid-{name}", "creationTimestamp": CREATED} | fields.pop("metadata", {})
    document: dict[str, Any] = pod(
        container(),
        name=name,
        owned_by=fields.pop("owned_by", REPLICA_SET),
        labels={"pod-template-hash": "5d9"},
        **fields,
    )
    del document["metadata"]["labels"]["floe.dev/inject"]
    if label is not None:
        document["metadata"]["labels"]["floe.dev/inject"] = label
    document["metadata"] |= metadata
    document["status"] = {"phase": "Running"}
    return document


@asynccontextmanager
async def looking(**settings: Any) -> AsyncIterator[tuple[Cluster, MissedPods, Noted]]:
    async with cluster() as (server, api):
        noted = Noted()
        budget = settings.pop("budget", None)
        evictions = Evictions(api, budget) if budget else None
        duty = MissedPods(api, lambda: PROFILE, noted, noted, evictions=evictions, now=lambda: ROUND_AT, **settings)
        server.put_namespace("sales", labels={"floe.dev/inject": "enabled"})
        yield server, duty, noted


async def test_pods_without_our_label_are_found_in_namespaces_that_opted_in_and_wherever_they_did_themselves() -> None:
    async with looking() as (server, duty, noted):
        server.put_namespace("other")
        for name in ("a", "b", "c"):
            server.put_pod(running(name))
        injected = running("injected")
        injected["metadata"]["labels"]["floe.dev/injected"] = "true"
        server.put_pod(injected)
        server.put_pod(running("done") | {"status": {"phase": "Succeeded"}})
        server.put_pod(running("opted-out", "false"))
        server.put_pod(running("silent", metadata={"namespace": "other"}))
        server.put_pod(running("by-itself", "true", metadata={"namespace": "other"}))

        report = await duty.look()

    assert report.counts[Verdict.MISSED] == 4
    assert noted.missed == report.counts
    assert {(one.subject.namespace, one.reason, one.subject.kind) for one in noted.announced} == {
        ("sales", "NotInjected", "Deployment"),
        ("other", "NotInjected", "Deployment"),
    }


async def test_labels_that_mean_nothing_are_told_on_pod_and_namespace() -> None:
    async with looking() as (server, duty, noted):
        server.put_namespace("typo", labels={"floe.dev/inject": "on"}, uid="uid-typo")
        server.put_pod(running("a", "yes"))

        report = await duty.look()

    assert (report.counts[Verdict.POD_LABEL_UNKNOWN], report.counts[Verdict.NAMESPACE_LABEL_UNKNOWN]) == (1, 1)
    assert report.unknown_namespaces == ("typo",)
    told = [(one.reason, one.subject.kind, one.subject.uid) for one in noted.announced]
    assert told == [("PodLabelUnknown", "Deployment", ""), ("NamespaceLabelUnknown", "Namespace", "uid-typo")]


async def test_pods_older_than_the_webhook_are_counted_and_not_told() -> None:
    async with looking(webhook_configuration="floe") as (server, duty, noted):
        path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/floe"
        server.put(path, {"metadata": {"creationTimestamp": "2026-11-21T11:00:00Z"}})
        server.put_pod(running("a"))

        report = await duty.look()

    assert (report.counts[Verdict.OLDER], report.counts[Verdict.MISSED]) == (1, 0)
    assert noted.announced == []


async def test_without_the_right_to_read_the_configuration_its_age_is_unknown() -> None:
    async with looking(webhook_configuration="floe") as (server, duty, _):
        server.forbidden.add("/mutatingwebhookconfigurations/floe")
        server.put_pod(running("a"))

        assert (await duty.look()).counts[Verdict.MISSED] == 1


async def test_what_metadata_cannot_tell_is_asked_of_the_pod_once_and_so_many_in_a_round() -> None:
    async with looking(most_confirmed=2) as (server, duty, _):
        for name in ("a", "b", "c"):
            server.put_pod(running(name))
        server.put_pod(running("critical", priorityClassName="system-node-critical"))

        first, second, third = [await duty.look() for _ in range(3)]
        reads = [path for method, path in server.asked if "/pods/" in path]

    assert (first.counts[Verdict.MISSED], first.unconfirmed) == (2, 2)
    assert (second.counts[Verdict.MISSED], second.unconfirmed) == (3, 0)
    assert third == second
    assert len(reads) == 4


async def test_a_pod_that_is_gone_when_it_is_asked_was_not_missed() -> None:
    async with looking() as (server, duty, _):
        server.put_pod(running("a"))
        stored = server.objects.pop("/api/v1/namespaces/sales/pods/a")
        server.objects["/api/v1/namespaces/sales/pods/"] = stored

        assert (await duty.look()).counts[Verdict.MISSED] == 0


async def test_details_for_everybody_hold_numbers_only() -> None:
    async with looking() as (server, duty, _):
        server.put_pod(running("secret-project"))

        details = (await duty.look()).details()

    assert details["missed"] == 1
    assert "secret-project" not in repr(details)


async def test_a_replica_that_does_not_lead_any_more_counts_nothing() -> None:
    async with looking() as (server, duty, noted):
        server.put_pod(running("a"))
        task = asyncio.create_task(duty.run())
        await until(lambda: noted.rounds == 1, "looked")
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert (noted.missed, duty.report) == ({}, None)


async def test_an_api_server_that_is_away_is_asked_again_in_the_next_round() -> None:
    async with looking() as (server, duty, noted):
        server.broken = True
        task = asyncio.create_task(duty.run())
        await until(lambda: bool(server.asked), "asked")
        assert not task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    assert noted.rounds == 0


async def test_nothing_is_evicted_unless_it_is_switched_on() -> None:
    async with looking() as (server, duty, _):
        server.put_pod(running("a"))
        await duty.look()

        assert server.evicted == []


@pytest.mark.parametrize(
    ("status", "result"),
    [(201, Eviction.EVICTED), (429, Eviction.HELD_BY_BUDGET), (404, Eviction.GONE), (403, Eviction.REFUSED)],
)
async def test_what_becomes_of_an_eviction_is_counted(status: int, result: Eviction) -> None:
    async with looking(budget=EvictionBudget(per_round=5)) as (server, duty, noted):
        server.eviction_status = status
        for name in ("a", "b"):
            server.put_pod(running(name))
        await duty.look()

    assert server.evicted == ["a"]
    assert noted.evictions == [result]


@pytest.mark.parametrize("hours", [-3, 0, 3])
async def test_a_workload_whose_new_pod_is_missed_again_is_left_alone_whatever_the_clock_says(hours: int) -> None:
    async with looking(budget=EvictionBudget(per_round=5)) as (server, duty, _):
        duty.now = lambda: ROUND_AT + timedelta(hours=hours)
        server.put_pod(running("a"))
        await duty.look()
        server.objects.clear()
        server.put_namespace("sales", labels={"floe.dev/inject": "enabled"})
        server.put_pod(running("b", metadata={"creationTimestamp": "2026-11-21T12:00:05Z"}))
        await duty.look()

    assert server.evicted == ["a"]


def suspect(name: str, kind: str = "Deployment", verdict: Verdict = Verdict.MISSED, workload: str = "web") -> MissedPod:
    return MissedPod("sales", name, name, ROUND_AT, verdict, Subject("sales", kind, workload))


@pytest.mark.parametrize(
    ("kind", "evicted"),
    [("Deployment", True), ("StatefulSet", True), ("DaemonSet", True)]
    + [(kind, False) for kind in ("Job", "CronJob", "Pod", "ReplicaSet", "Rollout")],
)
def test_only_pods_that_are_made_again_as_they_were_are_evicted(kind: str, evicted: bool) -> None:
    assert bool(chosen([suspect("a", kind)], EvictionBudget(per_round=5), {})) is evicted


def test_only_missed_pods_are_evicted() -> None:
    found = [suspect("a", verdict=verdict) for verdict in Verdict if verdict is not Verdict.MISSED]

    assert chosen(found, EvictionBudget(per_round=5), {}) == []


def test_a_round_has_a_budget_and_each_workload_another() -> None:
    found = [suspect(f"{workload}-{number}", workload=workload) for workload in "abcd" for number in range(3)]

    taken = chosen(found, EvictionBudget(per_round=5, per_workload=2), {})

    assert [pod.name for pod in taken] == ["a-0", "a-1", "b-0", "b-1", "c-0"]
