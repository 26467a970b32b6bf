"""The program as the chart starts it, while the wall clock of its nodes jumps by hours."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.admission import Namespace
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.moved_clock import moved_clock
from tests.e2e.webhook_load import Load, in_force, replicas, sample, steps, under
from tests.e2e.webhook_release import Release, release
from webhook.tests.serving.switch import switch
from webhook.tests.waiting import eventually, until

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("FP-8", "FP-9", "FP-24", "HOUSE-11")]

QUICK_LOOKS = ("--trust-settle", "1s", "--certificate-poll", "0.25s")
STEPS = ("create", "trust", "sign", "forget", "issue")


async def test_a_clock_that_jumps_by_hours_costs_no_admission_and_no_leader_and_renews_nothing(
    test_cluster: Cluster, namespace: Callable[..., Namespace], run_id: str, tmp_path: Path
) -> None:
    home, sales, clock = namespace(), namespace(), moved_clock(tmp_path)
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    async with switch() as entrance, release(test_cluster, home.name, run_id, entrance.port, folder) as made:
        load = Load(replace(made, environment={**made.environment, **clock.environment}), sales)
        async with replicas(load, tmp_path, *QUICK_LOOKS) as start:
            running = list(await asyncio.gather(start("first"), start("second")))
            entrance.replicas = list(running)
            await until(lambda: len(entrance.ready) == 2, "both ready")
            await in_force(load)
            before = {step: await steps(running, step) for step in STEPS}
            async with under(load):
                for hours in (-3, 20):
                    clock.move(timedelta(hours=hours))
                    await eventually(partial(_renewed, made, hours), "a renewed Lease")
                    await load.more(20)
            after = {step: await steps(running, step) for step in STEPS}
            leaders = [await sample(one, "floe_webhook_leader") for one in running]
            lease = await made.lease()

    assert (load.not_injected, load.failed, load.unanswered) == ([], [], 0)
    assert max(load.seconds) < 5
    assert after == before
    assert sorted(leaders) == [0.0, 1.0]
    assert lease is not None
    assert lease["spec"]["leaseTransitions"] == 0


async def _renewed(made: Release, hours: int) -> bool:
    """Whether the Lease was renewed by a clock that is so far from the true one."""
    lease = await made.lease()
    if lease is None:
        return False
    ahead = datetime.fromisoformat(lease["spec"]["renewTime"]) - datetime.now(UTC)
    return abs(ahead - timedelta(hours=hours)) < timedelta(minutes=30)
