"""Which replica watches which contract: leases in the database, so that no check runs twice and none is forgotten.

    every round:  I am alive ─▶ renew what I hold ─▶ take what nobody holds, up to my share ─▶ give back the rest

All times are the database's: two replicas' clocks are never compared. A lease that is taken gets a higher fence; what
its former holder still brings, of a run that began after that moment, is not stored (`is_valid`). While the database is
away nobody can take anything, so everybody goes on with what it holds.

A replica takes what it knows only, and what any of them knows is watched: each round makes active again what it knows,
and inactive what it does not know if nobody holds it. While the replicas know different contracts, e.g. because one
reads an older folder, shares are no bound: what one does not know another has to watch beside its own.
"""

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    String,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.orm import InstrumentedAttribute

from floe_monitor.contracts.model import ContractId
from floe_monitor.store.records import CheckRun
from floe_monitor.store.tables import LeaseRow, RegisteredContract, RegistrationRow, ReplicaRow

_KEY = (LeaseRow.contract_name, LeaseRow.contract_version)
_REGISTERED_KEY = (RegisteredContract.contract_name, RegisteredContract.contract_version)
_IS_WATCHED = exists().where(
    RegisteredContract.contract_name == LeaseRow.contract_name,
    RegisteredContract.contract_version == LeaseRow.contract_version,
    RegisteredContract.active,
)


@dataclass(frozen=True, slots=True)
class Share:
    """What a replica holds after a round.

    Attributes:
        fences: By contract, as `name:version`.
        replicas: How many are alive, this one included.
        excess: How many contracts are above its share, for others to take.
    """

    fences: Mapping[str, int]
    replicas: int
    excess: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """The contracts that a replica can watch.

    Attributes:
        digest: Names the set; replicas with one digest know the same contracts.
    """

    contracts: frozenset[ContractId]
    digest: str

    @classmethod
    def of(cls, contracts: Collection[ContractId]) -> "Known":
        """These contracts."""
        digest = hashlib.blake2b("\n".join(sorted(map(str, contracts))).encode(), digest_size=16)
        return cls(frozenset(contracts), digest.hexdigest())


async def hold(
    engine: AsyncEngine, replica: UUID, lease: timedelta, known: Known | None = None, *, takes_over: bool = True
) -> Share:
    """One round of a replica; two replicas that ask at once never get the same contract.

    Args:
        engine: The store.
        replica: Who asks.
        lease: How long it is believed to be alive without a further word.
        known: What it can watch; None for every contract.
        takes_over: Whether it may take what another's lease has ended on; if not, only what nobody holds.
    """
    is_mine_to_watch = and_(_IS_WATCHED, _is_known(known, _KEY))
    async with engine.begin() as connection:
        replicas = await _alive(connection, replica, lease, known)
        if known is not None:
            await _watch_known(connection, known)
        await _make_missing(connection)
        mine = LeaseRow.holder == replica
        await _prolong(connection, replica, lease)
        await connection.execute(
            update(LeaseRow).where(mine, ~is_mine_to_watch).values(holder=None, expires_at=func.now())
        )
        if known is not None and takes_over:
            await _end_unknown(connection, known)
        held, share = await _count(connection, mine), await _count(connection, is_mine_to_watch)
        if await _all_know_the_same(connection):
            share = -(-share // replicas)  # rounded up, so that none is left over
        if held < share:
            await _take(
                connection, replica, and_(is_mine_to_watch, _is_free(takes_over=takes_over)), share - held, lease
            )
        rows = await connection.execute(select(*_KEY, LeaseRow.fence).where(mine))
        return Share(
            {f"{name}:{version}": fence for name, version, fence in rows}, replicas, excess=max(0, held - share)
        )


async def _watch_known(connection: AsyncConnection, known: Known) -> None:
    """What another replica does not know, and has made inactive; but not what somebody unregistered."""
    is_unregistered = exists().where(
        RegistrationRow.contract_name == RegisteredContract.contract_name,
        RegistrationRow.contract_version == RegisteredContract.contract_version,
        RegistrationRow.unregistered_at.is_not(None),
    )
    await connection.execute(
        update(RegisteredContract)
        .where(~RegisteredContract.active, _is_known(known, _REGISTERED_KEY), ~is_unregistered)
        .values(active=True)
    )


async def _end_unknown(connection: AsyncConnection, known: Known) -> None:
    """Whoever holds a contract knows it."""
    is_held = exists().where(
        LeaseRow.contract_name == RegisteredContract.contract_name,
        LeaseRow.contract_version == RegisteredContract.contract_version,
        LeaseRow.holder.is_not(None),
        LeaseRow.expires_at > func.now(),
    )
    await connection.execute(
        update(RegisteredContract)
        .where(RegisteredContract.active, ~_is_known(known, _REGISTERED_KEY), ~is_held)
        .values(active=False)
    )


def _is_known(known: Known | None, key: Sequence[InstrumentedAttribute[str]]) -> ColumnElement[bool]:
    if known is None:
        return true()
    pairs = sorted((contract.name, contract.version) for contract in known.contracts)
    names = bindparam("known_names", [name for name, _ in pairs], type_=ARRAY(String))
    versions = bindparam("known_versions", [version for _, version in pairs], type_=ARRAY(String))
    unnested = func.unnest(names, versions).table_valued("name", "version").render_derived("known")
    return tuple_(*key).in_(select(unnested.c.name, unnested.c.version))


def _is_free(*, takes_over: bool) -> ColumnElement[bool]:
    nobodys = LeaseRow.holder.is_(None)
    return or_(nobodys, LeaseRow.expires_at <= func.now()) if takes_over else nobodys


async def _all_know_the_same(connection: AsyncConnection) -> bool:
    """Replicas that do not say what they know (of the release before) are taken to know what the others do."""
    alive = select(func.count(ReplicaRow.knows.distinct())).where(ReplicaRow.alive_until > func.now())
    return (await connection.execute(alive)).scalar_one() <= 1


async def renew(engine: AsyncEngine, replica: UUID, lease: timedelta) -> None:
    """Says that a replica is alive and goes on with what it holds; takes nothing and gives nothing back."""
    async with engine.begin() as connection:
        await _say_alive(connection, replica, lease)
        await _prolong(connection, replica, lease)


async def give_back(engine: AsyncEngine, replica: UUID, contracts: Collection[ContractId]) -> None:
    """Lets others take these contracts; their checks have ended here and their results are stored."""
    if not contracts:
        return
    keys = [(contract.name, contract.version) for contract in contracts]
    async with engine.begin() as connection:
        await connection.execute(
            update(LeaseRow)
            .where(LeaseRow.holder == replica, tuple_(*_KEY).in_(keys))
            .values(holder=None, expires_at=func.now())
        )


async def release(engine: AsyncEngine, replica: UUID) -> None:
    """Gives everything back at once, so that others need not wait for leases to end."""
    async with engine.begin() as connection:
        mine = LeaseRow.holder == replica
        await connection.execute(update(LeaseRow).where(mine).values(holder=None, expires_at=func.now()))
        await connection.execute(delete(ReplicaRow).where(ReplicaRow.id == replica))


async def valid_runs(connection: AsyncConnection, runs: Sequence[CheckRun]) -> list[CheckRun]:
    """The runs that their replica was entitled to; the rest was done, or will be, by whoever took the lease."""
    fenced = {(run.contract.id.name, run.contract.id.version) for run in runs if run.fence is not None}
    if not fenced:
        return list(runs)
    here = time.monotonic()  # before the database's: a run then seems to have begun later rather than earlier
    found = await connection.execute(
        select(*_KEY, LeaseRow.fence, LeaseRow.taken_at, func.clock_timestamp().label("present")).where(
            tuple_(*_KEY).in_(sorted(fenced))
        )
    )
    rows = found.all()
    leases = {f"{row.contract_name}:{row.contract_version}": (row.fence, row.taken_at) for row in rows}
    if not rows:
        return list(runs)
    present = rows[0].present
    return [
        run
        for run in runs
        if is_valid(run.fence, present - timedelta(seconds=here - run.begun), leases.get(str(run.contract.id)))
    ]


def is_valid(fence: int | None, began_at: datetime, lease: tuple[int, datetime] | None) -> bool:
    """Whether a run counts: its replica holds the lease still, or it began before another one took it.

    Args:
        fence: Under which it ran.
        began_at: When it began, by the database's clock.
        lease: Fence and time of the present lease.
    """
    if fence is None or lease is None:
        return True
    present_fence, taken_at = lease
    return fence == present_fence or began_at < taken_at


async def _alive(connection: AsyncConnection, replica: UUID, lease: timedelta, known: Known | None) -> int:
    await _say_alive(connection, replica, lease, knows=known.digest if known else None)
    await connection.execute(delete(ReplicaRow).where(ReplicaRow.alive_until < func.now() - lease))
    alive = select(func.count()).select_from(ReplicaRow).where(ReplicaRow.alive_until > func.now())
    return (await connection.execute(alive)).scalar_one()


async def _say_alive(connection: AsyncConnection, replica: UUID, lease: timedelta, **more: str | None) -> None:
    said = {"alive_until": func.now() + lease, **more}
    statement = upsert(ReplicaRow).values(id=replica, **said)
    await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=said))


async def _prolong(connection: AsyncConnection, replica: UUID, lease: timedelta) -> None:
    mine = update(LeaseRow).where(LeaseRow.holder == replica, _IS_WATCHED)
    await connection.execute(mine.values(expires_at=func.now() + lease))


async def _make_missing(connection: AsyncConnection) -> None:
    """A lease for each contract that has none yet."""
    has_one = exists().where(
        LeaseRow.contract_name == RegisteredContract.contract_name,
        LeaseRow.contract_version == RegisteredContract.contract_version,
    )
    missing = select(
        RegisteredContract.contract_name, RegisteredContract.contract_version, func.now(), func.now(), literal(0)
    ).where(RegisteredContract.active, ~has_one)
    columns = ["contract_name", "contract_version", "expires_at", "taken_at", "fence"]
    await connection.execute(upsert(LeaseRow).from_select(columns, missing).on_conflict_do_nothing())


async def _count(connection: AsyncConnection, condition: ColumnElement[bool]) -> int:
    found = select(func.count()).select_from(LeaseRow).where(condition)
    return (await connection.execute(found)).scalar_one()


async def _take(
    connection: AsyncConnection, replica: UUID, wanted: ColumnElement[bool], number: int, lease: timedelta
) -> None:
    chosen = select(*_KEY).where(wanted).order_by(*_KEY).limit(number).with_for_update(skip_locked=True)
    await connection.execute(
        update(LeaseRow)
        .where(tuple_(*_KEY).in_(chosen))
        .values(
            holder=replica, fence=LeaseRow.fence + 1, taken_at=func.clock_timestamp(), expires_at=func.now() + lease
        )
    )
