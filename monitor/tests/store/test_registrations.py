"""Registered contracts, on a real PostgreSQL."""

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.contracts.model import ContractId
from floe_monitor.store.registrations import put, registrations, remove, revision_of_all, revisions
from floe_monitor.store.results import active_contracts
from floe_monitor.store.tables import RegistrationEventRow
from monitor.tests.builders import NOW

pytestmark = pytest.mark.requirement("FR-004", "FR-002")
ORDERS = ContractId("sales", "shop", "orders", "1.0.0")


async def keep(engine: AsyncEngine, **document: object) -> tuple[bool, dict[str, object]]:
    kept = await put(engine, ORDERS, document, "text", NOW)
    return kept.is_new, kept.document


async def test_a_registered_version_keeps_what_it_said(engine: AsyncEngine) -> None:
    assert await keep(engine, id="orders") == (True, {"id": "orders"})
    assert await keep(engine, id="orders") == (False, {"id": "orders"})
    assert await keep(engine, id="other") == (False, {"id": "orders"})
    assert await active_contracts(engine) == (str(ORDERS),)
    assert [found.document for found in await registrations(engine, [(ORDERS.name, "1.0.0")])] == [{"id": "orders"}]


async def test_a_version_that_was_unregistered_can_come_back_as_it_was_and_not_otherwise(engine: AsyncEngine) -> None:
    await keep(engine, id="orders")
    assert await remove(engine, ORDERS, NOW)
    assert not await remove(engine, ORDERS, NOW)
    assert await active_contracts(engine) == ()
    assert await registrations(engine, [(ORDERS.name, "1.0.0")]) == []
    assert await keep(engine, id="other") == (False, {"id": "orders"})
    assert await keep(engine, id="orders") == (True, {"id": "orders"})
    async with engine.connect() as connection:
        kinds = await connection.scalars(select(RegistrationEventRow.kind).order_by(RegistrationEventRow.happened_at))
        assert sorted(kinds) == ["registered", "registered", "unregistered"]


async def test_every_change_is_noticed_by_the_revision(engine: AsyncEngine) -> None:
    seen = [await revision_of_all(engine)]
    for change in (keep(engine, id="orders"), remove(engine, ORDERS, NOW), keep(engine, id="orders")):
        await change
        seen.append(await revision_of_all(engine))
    assert seen == sorted(set(seen))
    assert await revisions(engine) == {(ORDERS.name, "1.0.0"): 3}
    await keep(engine, id="orders")
    assert await revision_of_all(engine) == seen[-1]


async def test_of_two_that_register_one_version_at_once_one_does(engine: AsyncEngine) -> None:
    kept = await asyncio.gather(*(put(engine, ORDERS, {"id": str(number)}, "text", NOW) for number in range(4)))
    assert sorted(one.is_new for one in kept) == [False, False, False, True]
    assert len({one.document["id"] for one in kept}) == 1
