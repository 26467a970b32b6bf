"""Events against an API server: made, counted further, resolved to the workload, refused, and never waited for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from floe_certs.kubernetes import Answer
from floe_webhook.aggregation import Limits
from floe_webhook.announcements import Announcement, Subject
from floe_webhook.cluster.events import Events, Unwritten
from webhook.tests.builders import owner
from webhook.tests.following.cluster import cluster
from webhook.tests.following.noted import Clock, Noted

pytestmark = pytest.mark.requirement("HOUSE-3", "FP-12")

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
STATEFUL_SET = Subject("sales", "StatefulSet", "db", "apps/v1", "uid-1")
REPLICA_SET = Subject("sales", "ReplicaSet", "web-5d9", "apps/v1", "uid-2")
DEPLOYMENT = Subject("sales", "Deployment", "web", through=REPLICA_SET)


def told(subject: Subject = STATEFUL_SET, reason: str = "HostNetwork") -> Announcement:
    return Announcement(subject, reason, "The pod uses the node's network.")


def events(api: Any, noted: Noted, clock: Clock, **limits: Any) -> Events:
    return Events(api, "floe-webhook-0", noted, Limits(**limits), clock, lambda: NOW)


async def test_an_event_stands_on_its_object_and_its_count_grows() -> None:
    async with cluster() as (server, api):
        noted, clock = Noted(), Clock()
        writer = events(api, noted, clock)
        writer.announce(told())
        await writer.write()
        writer.announce(told())
        writer.announce(told())
        clock.seconds = 40.0
        await writer.write()

        (found,) = server.events
        assert found["involvedObject"] == {
            "apiVersion": "apps/v1", "kind": "StatefulSet", "namespace": "sales", "name": "db", "uid": "uid-1"
        }  # fmt: skip
        assert (found["count"], found["reason"], found["type"]) == (3, "HostNetwork", "Warning")
        assert (found["firstTimestamp"], found["lastTimestamp"]) == ("2026-11-21T12:00:00Z", "2026-11-21T11:59:20Z")
        assert noted.written == 2


async def test_announcing_asks_nobody() -> None:
    async with cluster() as (server, api):
        events(api, Noted(), Clock()).announce(told())

        assert server.asked == []


async def test_the_workload_is_found_through_what_stands_between() -> None:
    async with cluster() as (server, api):
        controller = owner("Deployment", "web") | {"apiVersion": "apps/v1", "uid": "uid-3"}
        server.put(
            "/apis/apps/v1/namespaces/sales/replicasets/web-5d9", {"metadata": {"ownerReferences": [controller]}}
        )
        writer = events(api, Noted(), Clock())
        writer.announce(told(DEPLOYMENT))
        writer.announce(told(DEPLOYMENT, "Windows"))
        await writer.write()

        assert [found["involvedObject"]["uid"] for found in server.events] == ["uid-3", "uid-3"]
        assert [asked for asked in server.asked if asked[0] == "GET"] == [
            ("GET", "/apis/apps/v1/namespaces/sales/replicasets/web-5d9")
        ]


async def test_without_the_right_to_look_the_event_stands_on_what_stands_between() -> None:
    async with cluster() as (server, api):
        server.forbidden.add("/replicasets/web-5d9")
        writer = events(api, Noted(), Clock())
        writer.announce(told(DEPLOYMENT))
        await writer.write()

        assert server.events[0]["involvedObject"]["kind"] == "ReplicaSet"


async def test_a_deployment_whose_uid_nobody_knows_is_looked_up() -> None:
    async with cluster() as (server, api):
        server.put("/apis/apps/v1/namespaces/floe-system/deployments/webhook", {"metadata": {"uid": "uid-4"}})
        writer = events(api, Noted(), Clock())
        writer.announce(told(Subject("floe-system", "Deployment", "webhook", "apps/v1")))
        await writer.write()

        assert server.events[0]["involvedObject"]["uid"] == "uid-4"


async def test_a_pod_that_was_being_created_is_looked_up_when_it_is_told() -> None:
    async with cluster() as (server, api):
        server.put("/api/v1/namespaces/sales/pods/alone", {"metadata": {"uid": "uid-6"}})
        writer = events(api, Noted(), Clock())
        writer.announce(told(Subject("sales", "Pod", "alone", "v1")))
        await writer.write()

        assert server.events[0]["involvedObject"]["uid"] == "uid-6"


async def test_what_has_no_namespace_is_told_in_the_default_one() -> None:
    async with cluster() as (server, api):
        writer = events(api, Noted(), Clock())
        writer.announce(told(Subject("", "Namespace", "sales", "v1", "uid-5")))
        await writer.write()

        assert server.events[0]["metadata"]["namespace"] == "default"


async def test_an_event_that_has_ended_is_made_anew() -> None:
    async with cluster() as (server, api):
        clock = Clock()
        writer = events(api, Noted(), clock)
        writer.announce(told())
        await writer.write()
        server.objects.clear()
        writer.announce(told())
        clock.seconds = 60.0
        await writer.write()

        assert [found["count"] for found in server.events] == [2]


async def test_an_event_of_before_a_restart_is_counted_further_not_doubled() -> None:
    async with cluster() as (server, api):
        for _ in range(2):
            writer = events(api, Noted(), Clock())
            writer.announce(told())
            await writer.write()

        assert len(server.events) == 1


async def test_two_replicas_have_an_event_each() -> None:
    async with cluster() as (server, api):
        for instance in ("a", "b"):
            writer = Events(api, instance, Noted(), monotonic=Clock())
            writer.announce(told())
            await writer.write()

        assert {found["reportingInstance"] for found in server.events} == {"a", "b"}


async def test_what_the_api_server_cannot_take_now_is_told_later() -> None:
    async with cluster() as (server, api):
        noted, clock = Noted(), Clock()
        writer = events(api, noted, clock)
        writer.announce(told())
        server.broken = True
        await writer.write()
        writer.announce(told())
        server.broken = False
        await writer.write()

        assert [found["count"] for found in server.events] == [2]
        assert noted.lost == {}


async def test_what_is_refused_is_counted_and_not_asked_for_again() -> None:
    async with cluster() as (server, api):
        noted = Noted()
        server.forbidden.add("/events")
        writer = events(api, noted, Clock())
        writer.announce(told())
        await writer.write()
        await writer.write()

        assert noted.lost == {Unwritten.REFUSED: 1}
        assert len(server.asked) == 1


async def test_an_event_that_fails_unexpectedly_is_given_up_and_holds_up_no_other() -> None:
    async with cluster() as (server, api):
        noted, clock = Noted(), Clock()

        async def failing(method: str, path: str, **named: Any) -> Answer:
            if (named.get("body") or {}).get("reason") == "Windows":
                raise RuntimeError("a defect")
            return await api(method, path, **named)

        writer = events(failing, noted, clock)
        writer.announce(told(reason="Windows"))
        writer.announce(told())
        with pytest.raises(RuntimeError):  # `keep_running` counts it
            await writer.write()
        await writer.write()

        assert [found["reason"] for found in server.events] == ["HostNetwork"]
        assert noted.lost == {Unwritten.FAILED: 1}


@pytest.mark.parametrize("hours", [-3, 20])
async def test_a_clock_that_jumps_changes_no_limit_and_no_count(hours: int) -> None:
    async with cluster() as (server, api):
        noted, clock, now = Noted(), Clock(), [NOW]
        writer = Events(api, "floe-webhook-0", noted, Limits(), clock, lambda: now[0])
        writer.announce(told())
        await writer.write()
        now[0] += timedelta(hours=hours)
        writer.announce(told())
        writer.announce(told(reason="Windows"))
        clock.seconds = Limits().repeat_seconds - 1
        await writer.write()
        assert [(found["reason"], found["count"]) for found in server.events] == [("HostNetwork", 1), ("Windows", 1)]
        clock.seconds += 1
        await writer.write()
        assert [(found["reason"], found["count"]) for found in server.events] == [("HostNetwork", 2), ("Windows", 1)]
        assert noted.lost == {}


async def test_more_than_the_limit_is_counted() -> None:
    async with cluster() as (server, api):
        noted, clock = Noted(), Clock()
        writer = events(api, noted, clock, series=2, burst=1.0, per_second=0.0, give_up_seconds=60.0)
        for name in ("a", "b", "c"):
            writer.announce(told(Subject("sales", "StatefulSet", name, "apps/v1", name)))
        await writer.write()
        clock.seconds = 61.0
        await writer.write()

        assert len(server.events) == 1
        assert noted.lost == {Unwritten.NO_ROOM: 1, Unwritten.RATE_LIMITED: 1}
