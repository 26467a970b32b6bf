"""The leader's following of ended pods: each is told once, across pages, watches, breaks and changes of the leader."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.cluster.ended_pods import EndedPods, Unsent
from floe_webhook.cluster.lineage_sender import Outcome
from floe_webhook.endings import End
from webhook.tests.following.cluster import cluster
from webhook.tests.following.ended import ended, status_of, terminated, unnamed
from webhook.tests.following.noted import Noted, Receiver
from webhook.tests.waiting import until

pytestmark = pytest.mark.requirement("HOUSE-5", "HOUSE-11")


def numbered(number: int, **fields: Any) -> dict[str, Any]:
    """The `number`th ended pod."""
    uid = f"00000000-0000-4000-8000-{number:012d}"
    return ended(metadata={"name": f"pod-{number}", "uid": uid}, **fields)


@contextlib.asynccontextmanager
async def following(api: KubernetesApi, receiver: Any, noted: Noted) -> AsyncIterator[None]:
    duty = EndedPods(api, receiver, noted, noted, noted, pause_seconds=0.01)
    task = asyncio.create_task(duty.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def ends(receiver: Receiver) -> list[str]:
    """Run ids of the ends that were sent."""
    found = [json.loads(event) for event in receiver.events]
    return [event["run"]["runId"][-1] for event in found if event["eventType"] != "START"]


async def test_pods_that_have_ended_before_and_pods_that_end_later_are_each_told_once() -> None:
    async with cluster() as (server, api):
        for number in range(5):
            server.put_pod(numbered(number))
        server.put_pod(numbered(8) | {"status": {"phase": "Running"}})
        noted, receiver = Noted(), Receiver()
        async with following(api, receiver, noted):
            await until(lambda: len(noted.outcomes) == 5, "told of what had ended")
            server.put_pod(numbered(5))
            server.put_pod(numbered(5, phase="Succeeded", status={"message": "changed later"}))
            server.put_pod(numbered(6))
            await until(lambda: len(noted.outcomes) == 7, "told of what ended later")

    assert sorted(ends(receiver)) == ["0", "1", "2", "3", "4", "5", "6"]
    assert set(noted.outcomes) == {Outcome.SENT}
    assert noted.ends == [End.COMPLETE] * 7


async def test_a_new_leader_goes_on_where_the_last_one_ended() -> None:
    async with cluster() as (server, api):
        noted, first, second = Noted(), Receiver(), Receiver()
        server.put_pod(numbered(1))
        async with following(api, first, noted):
            await until(lambda: bool(noted.kept), "kept its progress")
        server.put_pod(numbered(2))
        async with following(api, second, noted):
            await until(lambda: len(second.events) == 2, "told of what ended in between")

    assert (ends(first), ends(second)) == (["1"], ["2"])


async def test_a_leader_that_ends_keeps_what_it_told_last() -> None:
    async with cluster() as (server, api):
        noted, first, second = Noted(), Receiver(), Receiver()
        async with following(api, first, noted):
            await until(lambda: bool(noted.kept), "kept its progress")
            server.put_pod(numbered(1))  # ten seconds have not passed since
            await until(lambda: bool(noted.outcomes), "told of what ended")
        async with following(api, second, noted):
            server.put_pod(numbered(2))
            await until(lambda: len(second.events) == 2, "told of what ended later")

    assert (ends(first), ends(second)) == (["1"], ["2"])


async def test_where_the_api_server_has_forgotten_only_what_is_newer_is_told() -> None:
    async with cluster() as (server, api):
        server.put_pod(numbered(1))
        noted, receiver = Noted(), Receiver()
        async with following(api, receiver, noted):
            await until(lambda: bool(noted.kept), "kept its progress")
        server.put_pod(numbered(2))
        server.forgotten = 10**9
        async with following(api, receiver, noted):
            await until(lambda: len(noted.outcomes) == 2, "listed again")
            server.forgotten = 0

    assert ends(receiver) == ["1", "2"]


async def test_a_break_of_the_connection_loses_and_doubles_nothing() -> None:
    async with cluster() as (server, api):
        noted, receiver = Noted(), Receiver()
        async with following(api, receiver, noted):
            server.put_pod(numbered(1))
            await until(lambda: len(noted.outcomes) == 1, "told of the first")
            server.broken = True
            server.wake()
            asked = len(server.asked)
            await until(lambda: len(server.asked) > asked, "tried again")
            server.put_pod(numbered(2))
            server.broken = False
            await until(lambda: len(noted.outcomes) == 2, "told of the second")

    assert ends(receiver) == ["1", "2"]


async def test_progress_waits_for_the_events_to_be_taken() -> None:
    class Stuck(Receiver):
        async def send(self, events: Sequence[bytes]) -> Outcome:
            await super().send(events)
            await asyncio.Event().wait()
            raise AssertionError

    async with cluster() as (server, api):
        server.put_pod(numbered(1))
        noted, stuck, receiver = Noted(), Stuck(), Receiver()
        async with following(api, stuck, noted):
            await until(lambda: bool(stuck.events), "tried to send")
        assert noted.kept == ""
        async with following(api, receiver, noted):
            await until(lambda: bool(receiver.events), "told again")

    # The same bytes: whoever has taken them already knows them by their idempotency key.
    assert receiver.events == stuck.events


@pytest.mark.parametrize(
    ("report", "said"),
    [
        pytest.param(
            {"acked_events": 5, "delivered_events": 3, "unsent_events": 2}, Unsent.UNSENT, id="something is lost"
        ),
        pytest.param({"acked_events": 3, "delivered_events": 3}, Unsent.ALL_SENT, id="all is delivered"),
        pytest.param({"acked_events": 1, "handed_over_events": 1}, Unsent.ALL_SENT, id="the gateway has it"),
        pytest.param({"acked_events": 0}, Unsent.NO_EVENTS, id="a pod without lineage"),
        pytest.param(None, Unsent.NO_REPORT, id="killed without a word"),
    ],
)
async def test_what_a_sidecar_could_not_send_is_counted_and_told(report: dict[str, int] | None, said: Unsent) -> None:
    async with cluster() as (server, api):
        server.put_pod(numbered(1, report=None if report is None else json.dumps(report)))
        noted = Noted()
        async with following(api, Receiver(), noted):
            await until(lambda: bool(noted.outcomes), "told of the pod")

    assert noted.reports == [said]
    told = [(one.reason, one.subject.kind) for one in noted.announced]
    assert told == ([("LineageUnsent", "CronJob")] if said is Unsent.UNSENT else [])


async def test_a_pod_without_a_jobs_name_is_counted() -> None:
    async with cluster() as (server, api):
        document = numbered(1, phase="Failed")
        document["status"]["containerStatuses"] = [status_of("app", terminated(1))]
        unnamed(document)
        server.put_pod(document)
        noted, receiver = Noted(), Receiver()
        async with following(api, receiver, noted):
            await until(lambda: bool(noted.outcomes), "looked at the pod")

    assert (noted.outcomes, noted.ends, receiver.events) == ([Outcome.UNNAMED], [End.FAIL], [])


async def test_a_pod_that_cannot_be_read_holds_up_no_other() -> None:
    async with cluster() as (server, api):
        unreadable = numbered(1)
        nested: dict[str, Any] = {}
        for _ in range(300):  # deeper than what can be written again
            nested = {"a": nested}
        unreadable["spec"]["containers"][0]["resources"] = nested
        server.put_pod(unreadable)
        server.put_pod(numbered(2))
        noted, receiver = Noted(), Receiver()
        async with following(api, receiver, noted):
            await until(lambda: len(noted.outcomes) == 2, "looked at both")

    assert (noted.outcomes, ends(receiver)) == ([Outcome.UNREADABLE, Outcome.SENT], ["2"])


async def test_without_rights_the_duty_fails_so_that_somebody_is_told() -> None:
    async with cluster() as (server, api):
        server.forbidden.add("/pods")
        duty = EndedPods(api, Receiver(), Noted(), Noted(), Noted())

        with pytest.raises(ExceptionGroup, match="unhandled"):
            await duty.run()
