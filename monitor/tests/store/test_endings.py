"""Episodes that lost their promise, on a real PostgreSQL."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.contracts.model import Contract
from floe_monitor.service.memory import Memory
from floe_monitor.store.endings import NOT_PROMISED, NOT_WATCHED, end_unpromised, end_unwatched, open_episodes
from floe_monitor.store.leases import hold, release
from floe_monitor.store.results import record, register
from floe_monitor.store.tables import EpisodeRow, OutboxRow, RegisteredContract, Table
from monitor.tests.builders import HOUR, MINUTE, NOW, check_run, contract, outcome

pytestmark = pytest.mark.requirement("FR-004", "FR-029")
WATCHED, OTHER = contract(), contract(name="other")


async def rows(engine: AsyncEngine, table: type[Table]) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(select(*table.__table__.columns))).mappings()]


async def broken(
    engine: AsyncEngine, of: Contract = WATCHED, *elements: str, channels: tuple[str, ...] = ("hook",)
) -> Memory:
    memory = Memory()
    found = [outcome("error", element=element) for element in elements or ("orders.updated_at",)]
    await record(engine, [check_run(*found, memory=memory, of=of, channels=channels)])
    return memory


async def closed(engine: AsyncEngine) -> dict[str, str | None]:
    return {row["element"]: row["closed_reason"] for row in await rows(engine, EpisodeRow) if row["closed_at"]}


async def test_whoever_heard_of_it_is_told_once_that_it_is_over_and_why(engine: AsyncEngine) -> None:
    await broken(engine, channels=("hook", "mail"))
    ended = await asyncio.gather(*(end_unwatched(engine, NOW + MINUTE) for _ in range(3)))
    assert sorted(ended) == [0, 0, 1]
    told = [row for row in await rows(engine, OutboxRow) if row["kind"] == "resolved"]
    assert sorted(row["channel"] for row in told) == ["hook", "mail"]
    event = told[0]["event"]
    assert event["message"] == f"{NOT_WATCHED} It was: orders is stale"
    assert (event["kind"], event["severity"], event["element"]) == ("resolved", "error", "orders.updated_at")
    assert await closed(engine) == {"orders.updated_at": NOT_WATCHED}


async def test_an_episode_that_nobody_heard_of_is_closed_quietly(engine: AsyncEngine) -> None:
    await broken(engine, channels=())
    assert await end_unwatched(engine, NOW) == 1
    assert await rows(engine, OutboxRow) == []


async def watch_no_more(engine: AsyncEngine, of: Contract) -> None:
    """As unregistering it does."""
    async with engine.begin() as connection:
        is_it = RegisteredContract.contract_name == of.id.name
        await connection.execute(update(RegisteredContract).where(is_it).values(active=False))


async def test_a_watched_contracts_episodes_stay_and_so_do_those_of_one_that_is_held_still(engine: AsyncEngine) -> None:
    await register(engine, [WATCHED, OTHER], NOW)
    await broken(engine)
    await broken(engine, OTHER)
    replica = uuid4()
    await hold(engine, replica, HOUR)
    assert await end_unwatched(engine, NOW) == 0
    await watch_no_more(engine, WATCHED)
    assert await end_unwatched(engine, NOW) == 0  # results of runs that go on may come
    await release(engine, replica)
    assert await end_unwatched(engine, NOW) == 1
    assert [row["contract_name"] for row in await rows(engine, EpisodeRow) if row["closed_at"]] == [WATCHED.id.name]


async def test_of_a_contract_only_the_promises_that_are_gone_are_ended(engine: AsyncEngine) -> None:
    await broken(engine, WATCHED, "orders.updated_at", "orders.loaded_at")
    await broken(engine, OTHER)
    found = {episode.element: episode.id for episode in await open_episodes(engine, [WATCHED.id])}
    assert set(found) == {"orders.updated_at", "orders.loaded_at"}
    assert await end_unpromised(engine, [found["orders.loaded_at"]], NOW) == 1
    assert await end_unpromised(engine, [found["orders.loaded_at"]], NOW) == 0
    assert await closed(engine) == {"orders.loaded_at": NOT_PROMISED}
    assert (await open_episodes(engine, []), await end_unpromised(engine, [], NOW)) == ([], 0)


async def test_a_late_result_neither_reopens_it_nor_tells_of_it_again(engine: AsyncEngine) -> None:
    memory = await broken(engine)
    await end_unwatched(engine, NOW)
    late = [
        check_run(outcome("critical"), memory=memory, at=NOW + MINUTE),
        check_run(outcome(), memory=memory, at=NOW + 2 * MINUTE),
    ]
    await record(engine, late)
    assert await closed(engine) == {"orders.updated_at": NOT_WATCHED}
    assert [row["kind"] for row in await rows(engine, OutboxRow)] == ["opened", "resolved"]
