"""Replicas contend for a Lease; at no time do two believe that they lead."""

import asyncio
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from certs.tests.api_server import OBJECTS, InMemoryApi
from certs.tests.builders import Clock
from floe_certs.api import UnreachableError
from floe_certs.election import Election
from floe_certs.kubernetes import ClusterApi

pytestmark = pytest.mark.requirement("HOUSE-11", "FP-9")


def candidate(server: InMemoryApi, name: str, clock: Clock, skew: timedelta = timedelta(0)) -> Election:
    return Election(
        ClusterApi(server.request, OBJECTS), name, now=lambda: clock.now() + skew, monotonic=clock.monotonic
    )


async def test_the_first_one_leads_and_the_second_one_waits() -> None:
    clock, server = Clock(), InMemoryApi()
    one, two = candidate(server, "one", clock), candidate(server, "two", clock)
    assert await one.contend()
    assert not await two.contend()


async def test_a_leader_that_renews_is_never_replaced() -> None:
    clock, server = Clock(), InMemoryApi()
    one, two = candidate(server, "one", clock), candidate(server, "two", clock, skew=timedelta(hours=3))
    for _ in range(20):
        assert await one.contend()
        assert not await two.contend()
        clock.pass_by(timedelta(seconds=3))


async def test_a_leader_that_is_silent_is_replaced_after_the_leases_duration_and_not_before() -> None:
    clock, server = Clock(), InMemoryApi()
    one, two = candidate(server, "one", clock), candidate(server, "two", clock)
    await one.contend()
    await two.contend()
    clock.pass_by(timedelta(seconds=14))
    assert not one.leads()
    assert not await two.contend()
    clock.pass_by(timedelta(seconds=1))
    assert await two.contend()
    assert not await one.contend()


async def test_a_leader_that_resigns_is_replaced_at_once() -> None:
    clock, server = Clock(), InMemoryApi()
    one, two = candidate(server, "one", clock), candidate(server, "two", clock)
    await one.contend()
    await one.resign()
    assert not one.leads()
    assert await two.contend()


async def test_without_the_api_server_leading_ends_by_itself() -> None:
    clock, server = Clock(), InMemoryApi()
    one = candidate(server, "one", clock)
    await one.contend()
    server.reachable = False
    with pytest.raises(UnreachableError):
        await one.contend()
    assert one.leads()
    clock.pass_by(timedelta(seconds=10))
    assert not one.leads()


async def test_the_loop_tells_failures_goes_on_and_resigns_at_its_end() -> None:
    server, failures = InMemoryApi(), list[Exception]()
    server.reachable = False
    one = Election(ClusterApi(server.request, OBJECTS), "one", duration_seconds=1)
    failed = asyncio.Event()

    def note(error: Exception) -> None:
        failures.append(error)
        failed.set()

    running = asyncio.create_task(one.run(note))
    async with asyncio.timeout(5):
        await failed.wait()
        server.reachable = True
        while not one.leads():  # noqa: ASYNC110 - nothing tells; the deadline stands around it
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert isinstance(failures[0], UnreachableError)
    assert not one.leads()
    stored = await ClusterApi(server.request, OBJECTS).read_lease()
    assert stored is not None
    assert stored.lease is None


@hypothesis_settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
async def test_whatever_is_late_two_never_lead_at_once(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - chooses who is late, guards nothing
    clock, server = Clock(), InMemoryApi()
    candidates = [candidate(server, f"replica-{number}", clock) for number in range(3)]

    async def late() -> None:
        clock.pass_by(timedelta(seconds=chance.choice([0, 0, 0, 1, 5])))
        await asyncio.sleep(0)
        assert sum(one.leads() for one in candidates) <= 1

    server.before_each = late
    led = 0
    for _ in range(60):
        contending = [one for one in candidates if chance.random() < 0.7]
        await asyncio.gather(*(one.contend() for one in contending))
        leaders = sum(one.leads() for one in candidates)
        assert leaders <= 1
        led += leaders
        clock.pass_by(timedelta(seconds=chance.choice([0, 1, 3, 8])))
    assert led > 0
