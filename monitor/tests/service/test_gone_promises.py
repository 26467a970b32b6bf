"""Promises that go while they are broken: their episodes end, across a restart too, and are told of once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_core.plugin_interfaces.quality import QualityCheck
from floe_monitor.checks.quality import SCORE
from floe_monitor.contracts.model import Contract, FreshnessPromise, QualityRule
from floe_monitor.service.watches import WATCHES
from floe_monitor.store.results import record
from floe_monitor.store.tables import EpisodeRow
from monitor.tests.builders import HOUR, NOW, ORDERS, check_run, contract, outcome
from monitor.tests.service.test_keeping_leases import Kept
from monitor.tests.sources import ToldCompute

pytestmark = pytest.mark.requirement("FR-004", "FR-029")
BOTH = replace(
    contract(freshness=None),
    freshness=(FreshnessPromise(ORDERS, HOUR, "updated_at"), FreshnessPromise(ORDERS, HOUR, "loaded_at")),
)
ONE = replace(BOTH, freshness=BOTH.freshness[:1])
NONE = replace(BOTH, freshness=())


async def open_elements(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.scalars(select(EpisodeRow.element).where(EpisodeRow.closed_at.is_(None))))


async def kept_with_two_broken_promises(engine: AsyncEngine) -> Kept:
    kept = Kept(engine, ToldCompute(rows=lambda: [(NOW - 9 * HOUR, NOW)]), mode="on_demand")
    await kept.roster.take([BOTH])
    await kept.keeper.once()
    broken = [outcome("error", element=promise.element) for promise in BOTH.freshness]
    await record(engine, [check_run(*broken, of=BOTH)])
    await kept.keeper.once()
    assert await open_elements(engine) == {"orders.updated_at", "orders.loaded_at"}
    return kept


@pytest.mark.parametrize(
    ("after", "still_open"),
    [
        pytest.param([BOTH], {"orders.updated_at", "orders.loaded_at"}, id="nothing changed"),
        pytest.param([ONE], {"orders.updated_at"}, id="one promise is gone"),
        pytest.param([NONE], set(), id="the whole check is gone"),
        pytest.param([], set(), id="the contract is gone"),
    ],
)
async def test_what_is_not_promised_any_more_is_closed(
    engine: AsyncEngine, after: list[Contract], still_open: set[str]
) -> None:
    kept = await kept_with_two_broken_promises(engine)
    await kept.roster.take(after)
    await kept.keeper.once()
    assert await open_elements(engine) == still_open


@pytest.mark.parametrize("after", [[ONE], [NONE], []], ids=["one promise", "the check", "the contract"])
async def test_what_went_while_nobody_ran_is_closed_at_the_next_start(
    engine: AsyncEngine, after: list[Contract]
) -> None:
    before = await kept_with_two_broken_promises(engine)
    await before.keeper.end()
    kept = Kept(engine, ToldCompute(), mode="on_demand")
    await kept.roster.take(after)
    await kept.keeper.once()
    assert await open_elements(engine) == {promise.element for one in after for promise in one.freshness}


async def test_a_promise_that_comes_back_broken_is_a_new_episode(engine: AsyncEngine) -> None:
    kept = await kept_with_two_broken_promises(engine)
    for contracts in ([ONE], [BOTH]):
        await kept.roster.take(contracts)
        await kept.keeper.once()
    async with kept.scheduling():
        run = await kept.roster.run_now(str(BOTH.id), ViolationType.FRESHNESS)
    await record(engine, [run])
    assert await open_elements(engine) == {"orders.updated_at", "orders.loaded_at"}


def rule(name: str) -> QualityRule:
    check = QualityCheck(name=name, type="rowCount", parameters={"metric": "rowCount"})
    return QualityRule(ORDERS, check, ViolationSeverity.ERROR)


FOUND = replace(contract(freshness=None), freshness=(FreshnessPromise(ORDERS, HOUR),))
RULED = replace(contract(freshness=None), quality=(rule("orders: rows"),))


@pytest.mark.parametrize(
    ("check", "of", "element", "is_promised"),
    [
        pytest.param("freshness", FOUND, "orders.any_column", True, id="a column that was found"),
        pytest.param("freshness", FOUND, "orders", True, id="a table where none was found"),
        pytest.param("freshness", FOUND, "returns.updated_at", False, id="another table"),
        pytest.param("freshness", BOTH, "orders.changed_at", False, id="another column"),
        pytest.param("quality", RULED, "orders: rows", True, id="a rule"),
        pytest.param("quality", RULED, SCORE, True, id="the score"),
        pytest.param("quality", RULED, "orders: nulls", False, id="another rule"),
        pytest.param("quality", BOTH, SCORE, False, id="the score of no rule"),
        pytest.param("availability", contract(availability=0.9), None, True, id="availability"),
        pytest.param("availability", contract(), None, False, id="no availability"),
    ],
)
def test_a_check_knows_what_a_contract_promises(
    check: str, of: Contract, element: str | None, *, is_promised: bool
) -> None:
    promises: Callable[..., Any] = next(watch.check.promises for watch in WATCHES if watch.check.type.value == check)
    assert promises(of, element) is is_promised
