"""Replicas that all believe they lead, with pauses anywhere: nobody's authority is lost, no client is ever refused."""

import asyncio
import base64
import functools
import random
import weakref
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from certs.tests.api_server import CONFIGURATION, SECRET, InMemoryApi
from certs.tests.builders import SERVER, Clock, settings
from certs.tests.rotating.replicas import Replica, replica
from floe_certs.authority import Certificate
from floe_certs.planning import Step
from floe_certs.state import State, read_state
from floe_certs.trust import authorities_in
from floe_certs.verification import refusal

pytestmark = pytest.mark.requirement("FP-9", "HOUSE-11", "HOUSE-3")

SETTINGS = settings(poll=timedelta(seconds=12))
ROUNDS = 50
"""Ten minutes: an authority of nine minutes is replaced and forgotten."""

SPINS = 100_000
"""Turns of the event loop within which every round has ended or sleeps."""

cached_refusal = functools.lru_cache(refusal)


class Watcher:
    """After every write: what replicas serve verifies against every caBundle, and no authority is overwritten."""

    def __init__(self, server: InMemoryApi, clock: Clock) -> None:
        self.server = server
        self.clock = clock
        self.replicas: list[Replica] = []
        self.refused: list[str] = []
        self.lost: list[str] = []
        self.states: list[State] = []
        server.after_write = self.look

    def look(self) -> None:
        self._about_authorities()
        self.about_clients()

    def about_clients(self) -> None:
        bundles = [base64.b64decode(one) for one in self.server.ca_bundles().values() if one is not None]
        for pair in {one.serving.served for one in self.replicas} - {None}:
            assert pair is not None
            reasons = [reason for one in bundles if (reason := cached_refusal(pair, one, SERVER)) is not None]
            if _ends_at(pair) <= self.clock.now():
                reasons.append("ended")
            self.refused += [f"{self.clock.time}: {reason}" for reason in reasons]

    def _about_authorities(self) -> None:
        stored = self.server.objects.get(SECRET)
        if stored is None:
            return
        state = read_state({key: base64.b64decode(value) for key, value in stored["data"].items()})
        assert state is not None
        before = set(self.states[-1].trusted) if self.states else set()
        self.states.append(state)
        self.lost += [f"{self.clock.time}" for one in before - set(state.trusted) if self._is_needed(one)]

    def _is_needed(self, authority: bytes) -> bool:
        """Whether something that an authority has signed may still be served."""
        signed = [one.serving for one in self.states if cached_refusal(one.serving, authority, SERVER) is None]
        return not signed or any(_ends_at(one) > self.clock.now() for one in signed)


def _ends_at(pair: Certificate) -> datetime:
    return x509.load_pem_x509_certificate(pair.certificate_pem).not_valid_after_utc


class Interleaving:
    """Lets rounds of several replicas run at once; each stops at requests for moments, and once for up to 29 s.

    A round that slept again and again for longer than what a serving certificate has left when it is renewed, a
    minute, could serve nothing else, however it was written.
    """

    def __init__(self, chance: random.Random, clock: Clock) -> None:
        self._chance = chance
        self._clock = clock
        self._asleep: dict[asyncio.Event, datetime] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._slept: weakref.WeakSet[asyncio.Task[object]] = weakref.WeakSet()

    async def pause(self) -> None:
        for _ in range(self._chance.randrange(6)):
            await asyncio.sleep(0)
        round_of_replica = asyncio.current_task()
        assert round_of_replica is not None
        if self._chance.random() < 0.02 and round_of_replica not in self._slept:
            self._slept.add(round_of_replica)
            awake = asyncio.Event()
            self._asleep[awake] = self._clock.time + timedelta(seconds=self._chance.randrange(1, 30))
            await awake.wait()

    async def run_rounds(self, replicas: list[Replica]) -> None:
        for number, one in enumerate(replicas):
            if number not in self._running or self._running[number].done():
                self._running[number] = asyncio.create_task(one.rotation.round())
        await self._until_all_sleep()

    async def finish(self) -> None:
        while any(not task.done() for task in self._running.values()):
            self._clock.pass_by(timedelta(seconds=1))
            await self._until_all_sleep()

    async def _until_all_sleep(self) -> None:
        for awake in [one for one, until in self._asleep.items() if until <= self._clock.time]:
            del self._asleep[awake]
            awake.set()
        for _ in range(SPINS):
            await asyncio.sleep(0)
            if sum(not task.done() for task in self._running.values()) == len(self._asleep):
                return
        raise AssertionError("a round neither ends nor sleeps")


@hypothesis_settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), replicas=st.integers(2, 3))
async def test_replicas_that_all_lead_never_lose_an_authority_or_a_client(seed: int, replicas: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - chooses who runs next, guards nothing
    clock, server = Clock(), InMemoryApi()
    server.configure_webhooks("namespace", "pod")
    watcher = Watcher(server, clock)
    watcher.replicas = [replica(server, SETTINGS, clock) for _ in range(replicas)]
    interleaving = Interleaving(chance, clock)
    server.before_each = interleaving.pause

    for _ in range(ROUNDS):
        await interleaving.run_rounds(watcher.replicas)
        watcher.about_clients()
        clock.pass_by(SETTINGS.poll)
    await interleaving.finish()

    assert watcher.refused == []
    assert watcher.lost == []
    authorities = {pem for state in watcher.states for pem in state.trusted}
    assert len(authorities) == 2, "the first one and the next, however many replicas try"
    assert watcher.states[-1].retired == ()


async def test_a_leader_that_slept_does_not_take_a_new_authority_out_of_the_bundle() -> None:
    clock, server = Clock(), InMemoryApi()
    server.configure_webhooks("namespace", "pod")
    sleeper, other = replica(server, SETTINGS, clock), replica(server, SETTINGS, clock)
    await sleeper.rotation.round()
    await other.rotation.round()
    asleep, awake = asyncio.Event(), asyncio.Event()
    requests = 0

    async def sleep_before_writing() -> None:
        nonlocal requests
        requests += 1
        if requests == 5:  # two reads are two times two calls; then it wants to repair the bundle
            asleep.set()
            await awake.wait()

    server.objects[CONFIGURATION]["webhooks"][0]["clientConfig"]["caBundle"] = "Cg=="
    server.before_each = sleep_before_writing
    sleeping = asyncio.create_task(sleeper.rotation.round())
    await asyncio.wait_for(asleep.wait(), 10)
    clock.pass_by(timedelta(minutes=6))
    await other.rotation.round()
    assert Step.TRUST in other.noted.steps
    after_trust = server.ca_bundles()
    bundles_seen = []
    server.after_write = lambda: bundles_seen.append(server.ca_bundles())
    awake.set()
    await sleeping

    assert all(one == after_trust for one in [*bundles_seen, server.ca_bundles()])
    assert all(len(authorities_in(base64.b64decode(one or ""))) == 2 for one in after_trust.values())
