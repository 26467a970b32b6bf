"""The program as the chart starts it, with its service account's rights: ready, rotating and replaced under load."""

import asyncio
import base64
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from floe_certs.serving import client_context
from tests.e2e.admission import Namespace, pod
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.webhook_release import LABELS, NAME, Release, release
from webhook.tests.serving.program import Program, program
from webhook.tests.serving.switch import Switch, switch
from webhook.tests.waiting import SECONDS, until

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FP-1", "FP-8", "FP-9", "FP-23", "FP-24", "HOUSE-11")]

NamespaceMaker = Callable[..., Namespace]

QUICK_LOOKS = ("--trust-settle", "1s", "--certificate-poll", "0.25s")
SHORT_LIVES = (*QUICK_LOOKS, "--serving-lifetime", "6s", "--authority-lifetime", "9s")
WORKERS = 4
DRAIN_SECONDS = 1.0


@dataclass(slots=True)
class Load:
    """Those who create pods and those who shake hands, and what happened to them.

    Attributes:
        slowest: Of all creations, in seconds.
    """

    release: Release
    namespace: Namespace
    injected: int = 0
    handshakes: int = 0
    not_injected: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    slowest: float = 0.0

    async def create_pods(self) -> None:
        """As dry runs, one after another."""
        path = f"/api/v1/namespaces/{self.namespace.name}/pods"
        while True:
            began = time.monotonic()
            answer = await self.release.api(
                "POST", path, query={"dryRun": "All"}, body=pod(self.namespace, inject="enabled")
            )
            self.slowest = max(self.slowest, time.monotonic() - began)
            if answer.status != 201:
                self.failed.append(str(answer.document.get("message")))
            elif "floe.dev/injected" in answer.document["metadata"]["labels"]:
                self.injected += 1
            else:
                self.not_injected.append(answer.document["metadata"]["name"])

    async def shake_hands(self, replicas: list[Program]) -> None:
        """With each replica in turn, trusting the caBundle as it is read right before."""
        while True:
            (bundle,) = set(await self.release.bundles())
            for replica in replicas:
                try:
                    _, writer = await asyncio.open_connection(
                        "127.0.0.1",
                        replica.port,
                        ssl=client_context(base64.b64decode(bundle)),
                        server_hostname="127.0.0.1",
                    )
                except OSError as error:
                    self.failed.append(f"handshake: {error}")
                    continue
                self.handshakes += 1
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            await asyncio.sleep(0.02)

    async def more(self, count: int) -> None:
        """Returns when so many more pods were injected."""
        wanted = self.injected + count
        await until(lambda: self.injected >= wanted, f"{count} more injected")


async def sample(replica: Program, name: str, **labels: str) -> float:
    """A metric's value."""
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{replica.health_port}/metrics")).text
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return float(one.value)
    return math.nan


@pytest.fixture
async def load(
    test_cluster: Cluster, namespace: NamespaceMaker, run_id: str, tmp_path: Path
) -> AsyncIterator[tuple[Load, Switch]]:
    """A release without a replica yet, the switch that the API server calls, and a load that nobody sends yet."""
    home, sales = namespace(), namespace()
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    async with switch() as entrance, release(test_cluster, home.name, run_id, entrance.port, folder) as made:
        yield Load(made, sales), entrance


@asynccontextmanager
async def replicas(
    load: Load, tmp_path: Path, *flags: object
) -> AsyncIterator[Callable[[str], "asyncio.Future[Program]"]]:
    """Starts replicas; they end with the block."""
    async with AsyncExitStack() as parts:

        def start(name: str) -> "asyncio.Future[Program]":
            running = program(
                tmp_path / f"{name}.log",
                *load.release.flags(name, "--drain-seconds", DRAIN_SECONDS, *flags),
                environment=load.release.environment,
            )
            return asyncio.ensure_future(parts.enter_async_context(running))

        yield start


@asynccontextmanager
async def under(load: Load, *more: "asyncio.Future[None]") -> AsyncIterator[None]:
    """Pods are created while the block runs."""
    tasks = [*(asyncio.ensure_future(load.create_pods()) for _ in range(WORKERS)), *more]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended


async def in_force(load: Load) -> None:
    """Returns once the API server calls the webhook: it reads configurations a moment later."""
    async with under(load):
        await load.more(1)
    load.not_injected.clear()


async def test_leaf_and_authority_rotate_under_load_and_every_pod_is_injected(
    load: tuple[Load, Switch], tmp_path: Path
) -> None:
    made, entrance = load
    async with replicas(made, tmp_path, *SHORT_LIVES) as start:
        running = list(await asyncio.gather(start("first"), start("second")))
        entrance.replicas = list(running)
        await until(lambda: len(entrance.ready) == 2, "both ready")
        await in_force(made)

        async def steps(step: str) -> float:
            return sum([await sample(one, "floe_webhook_certificate_steps_total", step=step) for one in running])

        async with under(made, asyncio.ensure_future(made.shake_hands(running))):
            while await steps("forget") < 1:
                assert made.failed == []
                await asyncio.sleep(0.2)
            await made.more(20)
        taken = {step: await steps(step) for step in ("create", "trust", "sign", "forget", "issue")}
        leaders = [await sample(one, "floe_webhook_leader") for one in running]
        secret, lease = await made.release.secret(), await made.release.lease()

    assert (made.failed, made.not_injected) == ([], [])
    assert made.injected > 100
    assert made.handshakes > 100
    assert taken["create"] == 1, "two replicas made one authority"
    assert taken["trust"] >= 1
    assert sorted(leaders) == [0.0, 1.0]
    assert secret is not None
    assert lease is not None
    for document in (secret, lease):
        (owner,) = document["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("Deployment", NAME)
        assert document["metadata"]["labels"] == LABELS


async def test_a_replica_that_is_killed_costs_at_most_what_it_was_answering_and_one_that_is_replaced_costs_nothing(
    load: tuple[Load, Switch], tmp_path: Path
) -> None:
    made, entrance = load
    async with replicas(made, tmp_path, *QUICK_LOOKS) as start:
        first, second = await asyncio.gather(start("first"), start("second"))
        entrance.replicas = [first, second]
        await until(lambda: len(entrance.ready) == 2, "both ready")
        await in_force(made)
        async with under(made):
            await made.more(50)
            first.process.kill()
            entrance.ready = [second.port]  # the kubelet sees a process end; it need not probe
            entrance.replicas = [second]
            await made.more(50)
            lost = len(made.not_injected)
            third = await start("third")
            entrance.replicas = [second, third]
            await until(lambda: len(entrance.ready) == 2, "both ready again")
            second.stop()
            assert await asyncio.wait_for(second.process.wait(), SECONDS) == 0
            await made.more(50)
        assert not [line for line in third.events() if line["level"] == "error"]

    assert made.failed == [], "nobody was refused"
    assert lost <= WORKERS, "no more than were in flight"
    assert len(made.not_injected) == lost, "a replica that is asked to end costs nothing"
    assert made.slowest < 5
