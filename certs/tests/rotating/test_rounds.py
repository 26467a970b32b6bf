"""Rounds of replicas over one API server: following, repairing, keeping what is good, telling what is not."""

import asyncio
import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from certs.tests.api_server import CONFIGURATION, SECRET, InMemoryApi
from certs.tests.builders import SERVER, START, Clock, brought, settings
from certs.tests.rotating.replicas import Replica, listening, replica
from floe_certs.defects import Defect
from floe_certs.events import Failure, Repair
from floe_certs.planning import Step
from floe_certs.settings import Source
from floe_certs.verification import refusal

pytestmark = pytest.mark.requirement("FP-8", "FP-9", "FP-10", "FP-24", "HOUSE-3", "HOUSE-11")

SETTINGS = settings()
BROUGHT = settings(source=Source.SECRET)


def api_server() -> InMemoryApi:
    server = InMemoryApi()
    server.configure_webhooks("namespace", "pod")
    return server


def put_secret(server: InMemoryApi, data: Mapping[str, bytes]) -> None:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    server.put(SECRET, {"metadata": {"name": "floe-webhook-tls"}, "data": encoded})


def bundles(server: InMemoryApi) -> set[bytes]:
    return {base64.b64decode(one or "") for one in server.ca_bundles().values()}


def serves(one: Replica) -> bytes:
    assert one.serving.served is not None
    return one.serving.served.certificate_pem


async def test_a_first_replica_makes_everything_and_is_ready_in_one_round() -> None:
    server = api_server()
    async with listening(server, SETTINGS, Clock(datetime.now(UTC))) as one:
        before = one.rotation.verdict
        await one.rotation.round()
        after = one.rotation.verdict
    assert (before.ready, after.ready) == (False, True), after.reason
    assert one.noted.steps == [Step.CREATE]
    assert one.noted.failures == []
    assert one.noted.served


async def test_a_follower_serves_what_the_leader_made_and_writes_nothing() -> None:
    server, clock = api_server(), Clock()
    leader, follower = replica(server, SETTINGS, clock), replica(server, SETTINGS, clock, leads=False)
    await follower.rotation.round()
    assert SECRET not in server.objects
    await leader.rotation.round()
    version = server.objects[CONFIGURATION]["metadata"]["resourceVersion"]
    await follower.rotation.round()
    assert serves(follower) == serves(leader)
    assert server.objects[CONFIGURATION]["metadata"]["resourceVersion"] == version


async def test_a_bundle_that_somebody_changed_is_put_back_and_counted_once() -> None:
    server, clock = api_server(), Clock()
    one = replica(server, SETTINGS, clock)
    await one.rotation.round()
    before = bundles(server)
    server.objects[CONFIGURATION]["webhooks"][1]["clientConfig"]["caBundle"] = "Cg=="
    for _ in range(3):
        await one.rotation.round()
    assert bundles(server) == before
    assert one.noted.repairs == [Repair.CA_BUNDLE]


@pytest.mark.parametrize("damage", ["deleted", "emptied", "truncated"])
async def test_a_damaged_secret_is_put_back_from_memory_so_that_nobody_notices(damage: str) -> None:
    server, clock = api_server(), Clock()
    one = replica(server, SETTINGS, clock)
    await one.rotation.round()
    before = dict(server.objects[SECRET]["data"])
    if damage == "deleted":
        del server.objects[SECRET]
    else:
        put_secret(server, {} if damage == "emptied" else {"tls.crt": b"-----BEGIN CERTIFICATE-----\nMII"})
    await one.rotation.round()
    assert server.objects[SECRET]["data"] == before
    assert one.noted.repairs == [Repair.SECRET]
    assert one.noted.steps == [Step.CREATE]


async def test_while_the_api_server_is_away_verdict_and_certificate_stay() -> None:
    server, clock = api_server(), Clock(datetime.now(UTC))
    async with listening(server, SETTINGS, clock) as one:
        await one.rotation.round()
        verdict, certificate = one.rotation.verdict, serves(one)
        server.reachable = False
        clock.pass_by(timedelta(minutes=2))
        await one.rotation.round()
    assert verdict.ready
    assert one.rotation.verdict == verdict
    assert serves(one) == certificate
    assert one.noted.failures == [Failure.API_UNREACHABLE]


async def test_a_replica_that_may_not_write_the_bundle_says_so_and_is_not_ready() -> None:
    server = api_server()
    server.forbidden = {("PATCH", CONFIGURATION)}
    async with listening(server, SETTINGS, Clock(datetime.now(UTC))) as one:
        await one.rotation.round()
    assert one.noted.failures == [Failure.API_REFUSED]
    assert "403 Forbidden" in one.noted.sentences[0]
    assert one.rotation.verdict.reason == "The entry namespace has no caBundle yet."


@pytest.mark.parametrize(
    ("bad", "defect"),
    [
        pytest.param({}, Defect.CERTIFICATE_MISSING, id="emptied"),
        pytest.param(brought(now=START - timedelta(days=91)), Defect.EXPIRED, id="expired"),
        pytest.param(brought(["elsewhere"]), Defect.WRONG_NAME, id="another name"),
        pytest.param(brought() | {"tls.key": brought()["tls.key"]}, Defect.KEY_OF_ANOTHER, id="another key"),
    ],
)
async def test_a_bad_secret_leaves_the_last_good_certificate_and_is_told_once(
    bad: dict[str, bytes], defect: Defect
) -> None:
    server, clock, good = api_server(), Clock(), brought()
    one = replica(server, BROUGHT, clock)
    put_secret(server, good)
    await one.rotation.round()
    put_secret(server, bad)
    for _ in range(3):
        await one.rotation.round()
        clock.pass_by(SETTINGS.poll)
    assert serves(one) == good["tls.crt"]
    assert bundles(server) == {good["ca.crt"]}
    assert one.noted.failures.count(defect) == 1


async def test_without_any_good_certificate_a_replica_is_not_ready_and_says_what_is_missing() -> None:
    one = replica(api_server(), BROUGHT, Clock())
    await one.rotation.round()
    assert not one.rotation.verdict.ready
    assert one.noted.failures == [Defect.SECRET_MISSING]


async def test_a_brought_certificate_of_another_authority_waits_until_everybody_trusts_it() -> None:
    server, clock = api_server(), Clock()
    leader = replica(server, BROUGHT, clock)
    replicas = [replica(server, BROUGHT, clock, leads=False), leader]
    first, second = brought(lifetime=timedelta(minutes=10)), brought()
    put_secret(server, first)
    await leader.rotation.round()
    for one in replicas:
        await one.rotation.round()
    put_secret(server, second)
    served = []
    for _ in range(5):
        for one in replicas:
            await one.rotation.round()
            assert one.serving.served is not None
            assert all(refusal(one.serving.served, bundle, SERVER) is None for bundle in bundles(server))
        served.append({serves(one) for one in replicas})
        clock.pass_by(SETTINGS.poll)
    assert served[:2] == [{first["tls.crt"]}] * 2, "settle is two polls"
    assert served[-1] == {second["tls.crt"]}
    assert bundles(server) == {second["ca.crt"] + first["ca.crt"]}

    clock.pass_by(timedelta(minutes=10))
    await leader.rotation.round()
    assert bundles(server) == {second["ca.crt"]}


async def test_a_brought_secret_is_never_written() -> None:
    server, clock = api_server(), Clock()
    put_secret(server, brought(lifetime=timedelta(minutes=1)))
    version = server.objects[SECRET]["metadata"]["resourceVersion"]
    one = replica(server, BROUGHT, clock)
    for _ in range(5):
        await one.rotation.round()
        clock.pass_by(timedelta(minutes=1))
    assert server.objects[SECRET]["metadata"]["resourceVersion"] == version
    assert one.noted.failures == [Defect.EXPIRED]


async def test_the_loop_outlives_what_nobody_thought_of() -> None:
    server = api_server()
    thrown = iter([RuntimeError("a defect")])

    async def throw_once() -> None:
        if (error := next(thrown, None)) is not None:
            raise error

    server.before_each = throw_once
    one = replica(server, settings(poll=timedelta(milliseconds=50)), Clock())
    running = asyncio.create_task(one.rotation.run())
    async with asyncio.timeout(10):
        while not one.noted.steps:  # noqa: ASYNC110 - nothing tells; the deadline stands around it
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert one.noted.failures == [Failure.INTERNAL]
    assert one.noted.sentences == ["A round ended with RuntimeError."]


async def test_when_nobody_remembers_the_secret_what_clients_trust_stays_trusted() -> None:
    server, clock = api_server(), Clock()
    old = replica(server, SETTINGS, clock)
    await old.rotation.round()
    del server.objects[SECRET]
    await replica(server, SETTINGS, clock).rotation.round()
    assert old.serving.served is not None
    assert all(refusal(old.serving.served, bundle, SERVER) is None for bundle in bundles(server))


async def test_writers_that_are_always_first_are_told_and_the_next_round_tries_anew() -> None:
    server, clock = api_server(), Clock()
    one = replica(server, SETTINGS, clock)
    put_secret(server, {})

    async def somebody_is_first() -> None:
        put_secret(server, {})

    server.before_each = somebody_is_first
    await one.rotation.round()
    assert one.noted.failures == [Failure.CONFLICT]
