"""Leases of contracts, on a real PostgreSQL."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.contracts.model import Contract
from floe_monitor.store.leases import Known, Share, give_back, hold, is_valid, release
from floe_monitor.store.records import CheckRun
from floe_monitor.store.registrations import put, remove
from floe_monitor.store.results import active_contracts, record, register
from floe_monitor.store.tables import CheckResult, LeaseRow, ReplicaRow
from monitor.tests.builders import NOW, SECOND, check_run, contract, outcome

pytestmark = pytest.mark.requirement("FR-001", "HOUSE-11")
LEASE = timedelta(minutes=1)
ONE, OTHER = uuid4(), uuid4()


def contracts(number: int) -> list[Contract]:
    return [contract(name=f"c{index}") for index in range(number)]


async def registered(engine: AsyncEngine, number: int) -> list[Contract]:
    made = contracts(number)
    await register(engine, made, NOW)
    return made


async def end_leases_of(engine: AsyncEngine, replica: UUID) -> None:
    """As if the replica had been killed a while ago."""
    past = func.now() - timedelta(seconds=1)
    async with engine.begin() as connection:
        await connection.execute(update(LeaseRow).where(LeaseRow.holder == replica).values(expires_at=past))
        await connection.execute(update(ReplicaRow).where(ReplicaRow.id == replica).values(alive_until=past))


def held(share: Share) -> set[str]:
    return set(share.fences)


async def test_a_lone_replica_holds_everything(engine: AsyncEngine) -> None:
    made = await registered(engine, 3)
    share = await hold(engine, ONE, LEASE)
    assert held(share) == {str(one.id) for one in made}
    assert (share.replicas, share.excess) == (1, 0)
    assert await hold(engine, ONE, LEASE) == share


async def test_a_second_replica_gets_its_share_once_the_first_gives_it_back(engine: AsyncEngine) -> None:
    made = await registered(engine, 5)
    await hold(engine, ONE, LEASE)
    assert held(await hold(engine, OTHER, LEASE)) == set()
    first = await hold(engine, ONE, LEASE)
    assert (first.replicas, first.excess) == (2, 2)
    await give_back(engine, ONE, [one.id for one in made[:2]])
    second = await hold(engine, OTHER, LEASE)
    assert held(second) == {str(one.id) for one in made[:2]}
    assert held(await hold(engine, ONE, LEASE)) == {str(one.id) for one in made[2:]}


async def test_what_a_killed_replica_held_is_taken_with_a_higher_fence(engine: AsyncEngine) -> None:
    await registered(engine, 2)
    before = await hold(engine, ONE, LEASE)
    await end_leases_of(engine, ONE)
    after = await hold(engine, OTHER, LEASE)
    assert after.replicas == 1
    assert {key: fence - before.fences[key] for key, fence in after.fences.items()} == dict.fromkeys(before.fences, 1)


async def test_a_replica_that_was_away_keeps_what_nobody_took(engine: AsyncEngine) -> None:
    await registered(engine, 2)
    before = await hold(engine, ONE, LEASE)
    await end_leases_of(engine, ONE)
    assert (await hold(engine, ONE, LEASE)).fences == before.fences


async def test_a_replica_that_stops_leaves_everything_at_once(engine: AsyncEngine) -> None:
    made = await registered(engine, 2)
    await hold(engine, ONE, LEASE)
    await release(engine, ONE)
    share = await hold(engine, OTHER, LEASE)
    assert (held(share), share.replicas) == ({str(one.id) for one in made}, 1)


async def test_replicas_that_ask_at_once_never_get_the_same_contract(engine: AsyncEngine) -> None:
    made = await registered(engine, 40)
    replicas = [uuid4() for _ in range(4)]
    await asyncio.gather(*(hold(engine, replica, LEASE) for replica in replicas))
    shares = await asyncio.gather(*(hold(engine, replica, LEASE) for replica in replicas))
    taken = [key for share in shares for key in share.fences]
    assert len(taken) == len(set(taken))
    assert set(taken) == {str(one.id) for one in made}


def run_of(of: Contract, fence: int | None, *, begun: float) -> CheckRun:
    return replace(check_run(outcome("error"), of=of), fence=fence, begun=begun)


async def results(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return (await connection.execute(select(func.count()).select_from(CheckResult))).scalar_one()


async def test_late_results_of_a_former_holder_are_not_stored(engine: AsyncEngine) -> None:
    [watched] = await registered(engine, 1)
    fence = (await hold(engine, ONE, LEASE)).fences[str(watched.id)]
    await end_leases_of(engine, ONE)
    await hold(engine, OTHER, LEASE)
    now = time.monotonic()
    assert await record(engine, [run_of(watched, fence, begun=now)]) == 1
    assert await results(engine) == 0
    assert await record(engine, [run_of(watched, fence + 1, begun=now)]) == 0
    assert await results(engine) == 1


async def test_what_was_begun_before_another_took_over_is_stored(engine: AsyncEngine) -> None:
    [watched] = await registered(engine, 1)
    fence = (await hold(engine, ONE, LEASE)).fences[str(watched.id)]
    await end_leases_of(engine, ONE)
    await hold(engine, OTHER, LEASE)
    assert await record(engine, [run_of(watched, fence, begun=time.monotonic() - 300)]) == 0
    assert await results(engine) == 1


async def test_a_replica_whose_clock_is_wrong_is_believed_no_more_and_no_less(engine: AsyncEngine) -> None:
    [watched] = await registered(engine, 1)
    fence = (await hold(engine, ONE, LEASE)).fences[str(watched.id)]
    await end_leases_of(engine, ONE)
    await hold(engine, OTHER, LEASE)
    late, early = time.monotonic(), time.monotonic() - 300
    slow, fast = timedelta(days=-1), timedelta(days=1)
    runs = [replace(run_of(watched, fence, begun=late), checked_at=datetime.now(UTC) + off) for off in (slow, fast)]
    assert await record(engine, runs) == 2
    runs = [replace(run_of(watched, fence, begun=early), checked_at=datetime.now(UTC) + off) for off in (slow, fast)]
    assert await record(engine, runs) == 0


@pytest.mark.parametrize(
    ("fence", "lease", "counts"),
    [
        pytest.param(None, (3, NOW), True, id="without leases everything counts"),
        pytest.param(3, None, True, id="no lease, nobody else"),
        pytest.param(3, (3, NOW - SECOND), True, id="its own lease"),
        pytest.param(2, (3, NOW + SECOND), True, id="begun before it was taken"),
        pytest.param(2, (3, NOW), False, id="begun when it was taken"),
        pytest.param(2, (3, NOW - SECOND), False, id="begun after it was taken"),
    ],
)
def test_which_runs_count(fence: int | None, lease: tuple[int, datetime] | None, counts: bool) -> None:
    assert is_valid(fence, NOW, lease) is counts


def known(contracts: list[Contract]) -> Known:
    return Known.of([one.id for one in contracts])


def ids(contracts: list[Contract]) -> set[str]:
    return {str(one.id) for one in contracts}


async def test_a_replica_takes_nothing_that_it_does_not_know(engine: AsyncEngine) -> None:
    made = await registered(engine, 3)
    assert held(await hold(engine, ONE, LEASE, known(made[:2]))) == ids(made[:2])


async def test_what_a_replica_does_not_know_any_more_is_free_at_once(engine: AsyncEngine) -> None:
    made = await registered(engine, 3)
    await hold(engine, ONE, LEASE, known(made))
    assert held(await hold(engine, ONE, LEASE, known(made[1:]))) == ids(made[1:])
    assert held(await hold(engine, OTHER, LEASE, known(made))) == ids(made[:1])


async def test_what_one_replica_does_not_know_another_watches_beside_its_share(engine: AsyncEngine) -> None:
    made = await registered(engine, 6)
    await hold(engine, ONE, LEASE, known(made[:1]))
    other = await hold(engine, OTHER, LEASE, known(made))
    assert held(other) == ids(made[1:])
    assert other.excess == 0
    again = await hold(engine, OTHER, LEASE, known(made))
    assert (held(again), again.excess) == (held(other), 0)


async def test_replicas_that_know_the_same_share_it(engine: AsyncEngine) -> None:
    made = await registered(engine, 4)
    await hold(engine, ONE, LEASE, known(made))
    await hold(engine, OTHER, LEASE, known(made))
    assert (await hold(engine, ONE, LEASE, known(made))).excess == 2


async def test_a_replica_that_does_not_say_what_it_knows_is_taken_to_know_all(engine: AsyncEngine) -> None:
    made = await registered(engine, 4)
    await hold(engine, ONE, LEASE)
    await hold(engine, OTHER, LEASE, known(made))
    assert (await hold(engine, ONE, LEASE)).excess == 2


async def test_what_no_replica_knows_any_more_is_watched_no_more_and_comes_back_with_one_that_knows_it(
    engine: AsyncEngine,
) -> None:
    made = await registered(engine, 20)
    await hold(engine, ONE, LEASE, known(made))
    await hold(engine, ONE, LEASE, known(made[5:]))
    assert set(await active_contracts(engine)) == ids(made[5:])
    assert held(await hold(engine, ONE, LEASE, known(made))) == ids(made)
    assert set(await active_contracts(engine)) == ids(made)
    assert held(await hold(engine, ONE, LEASE, known([]))) == set()
    assert await active_contracts(engine) == ()


async def test_a_replica_with_an_older_folder_ends_nothing_that_another_watches(engine: AsyncEngine) -> None:
    made = await registered(engine, 3)
    older, newer = known(made[:2]), known(made[1:])
    await hold(engine, ONE, LEASE, older)  # nobody holds the newest yet
    assert held(await hold(engine, OTHER, LEASE, newer)) == ids(made[2:])
    await hold(engine, ONE, LEASE, older)
    assert set(await active_contracts(engine)) == ids(made)
    await release(engine, ONE)
    assert held(await hold(engine, OTHER, LEASE, newer)) == ids(made[1:])
    assert set(await active_contracts(engine)) == ids(made[1:])


async def test_after_an_outage_nothing_ends_before_the_others_have_had_time_to_come_back(engine: AsyncEngine) -> None:
    made = await registered(engine, 2)
    await hold(engine, OTHER, LEASE, known(made))
    await end_leases_of(engine, OTHER)
    await hold(engine, ONE, LEASE, known(made[:1]), takes_over=False)
    assert set(await active_contracts(engine)) == ids(made)
    await hold(engine, ONE, LEASE, known(made[:1]))
    assert set(await active_contracts(engine)) == ids(made[:1])


async def test_what_was_unregistered_stays_so_although_a_replica_has_not_looked_yet(engine: AsyncEngine) -> None:
    of_api = contract()
    await put(engine, of_api.id, of_api.document, "text", NOW)
    assert held(await hold(engine, ONE, LEASE, known([of_api]))) == ids([of_api])
    await remove(engine, of_api.id, NOW)
    assert held(await hold(engine, ONE, LEASE, known([of_api]))) == set()
    assert await active_contracts(engine) == ()
