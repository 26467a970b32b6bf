"""Scheduled, continuous, on demand (FR-006), on a real PostgreSQL."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.errors import ValidationError
from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.checks.model import CheckStatus
from floe_monitor.service.roster import WatchedElsewhereError
from floe_monitor.store.leases import hold
from monitor.tests.builders import HOUR, NOW, until
from monitor.tests.service.test_keeping_leases import Kept, names, stale
from monitor.tests.sources import ToldCompute

pytestmark = pytest.mark.requirement("FR-006")
STALE = [(NOW - 9 * HOUR, NOW)]


async def test_on_demand_nothing_runs_until_it_is_asked_for(engine: AsyncEngine) -> None:
    kept = Kept(engine, ToldCompute(rows=lambda: STALE), mode="on_demand")
    [watched] = contracts = stale(1)
    await kept.roster.take(contracts)
    await kept.keeper.once()
    async with kept.scheduling():
        await asyncio.sleep(0.3)  # three intervals
        assert kept.runs == []
        run = await kept.roster.run_now(str(watched.id), ViolationType.FRESHNESS)
    assert run.verdict.status is CheckStatus.FAIL
    assert kept.runs == [run]


async def test_a_scheduled_check_can_be_asked_for_in_between(engine: AsyncEngine) -> None:
    kept = Kept(engine, ToldCompute(rows=lambda: STALE))
    [watched] = contracts = stale(1)
    await kept.roster.take(contracts)
    await kept.keeper.once()
    async with kept.scheduling():
        asked = await kept.roster.run_now(str(watched.id), ViolationType.FRESHNESS)
        await until(lambda: len(kept.runs) >= 3)
    assert asked in kept.runs
    assert asked.fence == kept.keeper.share.fences[str(watched.id)]


async def test_continuous_checks_begin_again_without_a_deadline(engine: AsyncEngine) -> None:
    kept = Kept(engine, ToldCompute(rows=lambda: STALE), mode="continuous")
    contracts = stale(2)
    await kept.roster.take(contracts)
    await kept.keeper.once()
    async with kept.scheduling():
        await until(lambda: len(kept.runs) >= 4)
    assert kept.recent(4) == names(contracts)


async def test_what_nobody_watches_here_cannot_be_asked_for(engine: AsyncEngine) -> None:
    kept = Kept(engine, ToldCompute(), mode="on_demand")
    [watched] = contracts = stale(1)
    await kept.roster.take(contracts)
    await hold(engine, uuid4(), HOUR)  # another replica takes it
    await kept.keeper.once()
    with pytest.raises(WatchedElsewhereError, match="Another replica"):
        await kept.roster.run_now(str(watched.id), ViolationType.FRESHNESS)
    with pytest.raises(ValidationError, match="promises nothing"):
        await kept.roster.run_now(str(watched.id), ViolationType.QUALITY)
    with pytest.raises(ValidationError, match="No contract"):
        await kept.roster.run_now("sales.shop/nothing:1.0.0", ViolationType.FRESHNESS)
