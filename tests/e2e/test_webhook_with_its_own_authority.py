"""The program as the chart starts it, with its service account's rights: ready, rotating and replaced under load."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.e2e.admission import Namespace
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.webhook_load import WORKERS, Load, in_force, replicas, sample, steps, under
from tests.e2e.webhook_release import LABELS, NAME, release
from webhook.tests.serving.switch import Switch, switch
from webhook.tests.waiting import SECONDS, until

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FP-1", "FP-8", "FP-9", "FP-23", "FP-24", "HOUSE-11")]

NamespaceMaker = Callable[..., Namespace]

QUICK_LOOKS = ("--trust-settle", "1s", "--certificate-poll", "0.25s")
PODS, HANDSHAKES = 100, 20
SHORT_LIVES = (*QUICK_LOOKS, "--serving-lifetime", "6s", "--authority-lifetime", "9s")


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


async def test_leaf_and_authority_rotate_under_load_and_every_pod_is_injected(
    load: tuple[Load, Switch], tmp_path: Path
) -> None:
    made, entrance = load
    async with replicas(made, tmp_path, *SHORT_LIVES) as start:
        running = list(await asyncio.gather(start("first"), start("second")))
        entrance.replicas = list(running)
        await until(lambda: len(entrance.ready) == 2, "both ready")
        await in_force(made)

        async with under(made, asyncio.ensure_future(made.shake_hands(running))):
            while await steps(running, "forget") < 1 or made.injected < PODS or made.handshakes < HANDSHAKES:
                assert made.failed == []
                await asyncio.sleep(0.2)
            await made.more(20)
        taken = {step: await steps(running, step) for step in ("create", "trust", "sign", "forget", "issue")}
        leaders = [await sample(one, "floe_webhook_leader") for one in running]
        secret, lease = await made.release.secret(), await made.release.lease()

    assert (made.failed, made.unanswered, made.not_injected) == ([], 0, [])
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
            entrance.replicas = [second]
            entrance.ready = [second.port]  # the kubelet sees a process end; it need not probe
            await made.more(50)
            lost = len(made.not_injected)
            third = await start("third")
            entrance.replicas = [second, third]
            await until(lambda: len(entrance.ready) == 2, "both ready again")
            second.stop()
            assert await asyncio.wait_for(second.process.wait(), SECONDS) == 0
            await made.more(50)
        assert not [line for line in third.events() if line["level"] == "error"]

    assert (made.failed, made.unanswered) == ([], 0), "nobody was refused"
    assert lost <= WORKERS, "no more than were in flight"
    assert len(made.not_injected) == lost, "a replica that is asked to end costs nothing"
    assert max(made.seconds) < 5
