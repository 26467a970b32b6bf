"""Contracts that came by the API: registered once, never changed, kept when they are unregistered.

`registered_contracts` says what is watched, wherever it comes from; here is what the API was given. A registered
version is immutable: what it said stays known, so that nobody can give an old version a new meaning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import uuid4

from sqlalchemy import and_, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from floe_monitor.contracts.model import ContractId
from floe_monitor.store.results import storable
from floe_monitor.store.tables import RegisteredContract, RegistrationEventRow, RegistrationRow

_KEY = (RegistrationRow.contract_name, RegistrationRow.contract_version)


class RegistrationKind(StrEnum):
    """What became of a contract in the registry."""

    REGISTERED = "registered"
    UNREGISTERED = "unregistered"


@dataclass(frozen=True, slots=True)
class Kept:
    """What is registered after a contract was to be.

    Attributes:
        document: What is registered; if it is not what was given, nothing was changed.
        is_new: Whether it is registered now and was not before.
    """

    document: dict[str, Any]
    is_new: bool


@dataclass(frozen=True, slots=True)
class Registration:
    """A contract that is registered."""

    name: str
    version: str
    revision: int
    document: dict[str, Any]


async def put(
    engine: AsyncEngine, contract: ContractId, document: dict[str, Any], document_text: str, now: datetime
) -> Kept:
    """Registers a contract, unless this version is known already, with whatever it said."""
    document = storable(document)
    async with engine.begin() as connection:
        await _lock(connection, contract)
        known = await _registration(connection, contract)
        if known is not None and (known.unregistered_at is None or known.document != document):
            return Kept(known.document, is_new=False)
        await _insert(connection, contract, document, document_text, now)
    return Kept(document, is_new=True)


async def remove(engine: AsyncEngine, contract: ContractId, now: datetime, *, stays_watched: bool = False) -> bool:
    """Unregisters a contract; false if it is not registered.

    Args:
        engine: The store.
        contract: Which.
        now: The present.
        stays_watched: Whether it is a file of the directory, too.
    """
    async with engine.begin() as connection:
        await _lock(connection, contract)
        found = await connection.execute(
            update(RegistrationRow)
            .where(_is(RegistrationRow, contract), RegistrationRow.unregistered_at.is_(None))
            .values(unregistered_at=now, revision=RegistrationRow.revision + 1)
            .returning(RegistrationRow.revision)
        )
        if found.first() is None:
            return False
        if not stays_watched:
            watched = update(RegisteredContract).where(_is(RegisteredContract, contract))
            await connection.execute(watched.values(active=False))
        await _note(connection, contract, RegistrationKind.UNREGISTERED, now)
    return True


async def revision_of_all(engine: AsyncEngine) -> int:
    """A number that grows with every change; two readers that see the same one have seen the same contracts."""
    async with engine.connect() as connection:
        # A sum, since each change adds to one row for good: transactions that end out of order are not missed.
        return int(await connection.scalar(select(func.coalesce(func.sum(RegistrationRow.revision), 0))) or 0)


async def revisions(engine: AsyncEngine) -> dict[tuple[str, str], int]:
    """The registered contracts by name and version, each with its revision."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            select(*_KEY, RegistrationRow.revision).where(RegistrationRow.unregistered_at.is_(None))
        )
        return {(name, version): revision for name, version, revision in rows}


async def registrations(engine: AsyncEngine, keys: Sequence[tuple[str, str]]) -> list[Registration]:
    """These registered contracts."""
    if not keys:
        return []
    async with engine.connect() as connection:
        rows = await connection.execute(
            select(*RegistrationRow.__table__.columns).where(
                tuple_(*_KEY).in_(keys), RegistrationRow.unregistered_at.is_(None)
            )
        )
        return [Registration(row.contract_name, row.contract_version, row.revision, row.document) for row in rows]


async def _lock(connection: AsyncConnection, contract: ContractId) -> None:
    """Two callers that register one contract wait for each other, before there is a row to lock."""
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(contract), 0))))


async def _insert(
    connection: AsyncConnection, contract: ContractId, document: dict[str, Any], document_text: str, now: datetime
) -> None:
    key = {"contract_name": contract.name, "contract_version": contract.version}
    statement = upsert(RegistrationRow).values(
        **key, document=document, document_text=storable(document_text), registered_at=now, revision=1
    )
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["contract_name", "contract_version"],
            set_={"unregistered_at": None, "revision": RegistrationRow.revision + 1},
        )
    )
    watched = upsert(RegisteredContract).values(**key, contract_data=document, registered_at=now, active=True)
    await connection.execute(
        watched.on_conflict_do_update(
            index_elements=["contract_name", "contract_version"],
            set_={"contract_data": watched.excluded.contract_data, "active": True},
        )
    )
    await _note(connection, contract, RegistrationKind.REGISTERED, now)


async def _note(connection: AsyncConnection, contract: ContractId, kind: RegistrationKind, now: datetime) -> None:
    await connection.execute(
        insert(RegistrationEventRow).values(
            id=uuid4(),
            contract_name=contract.name,
            contract_version=contract.version,
            kind=kind.value,
            happened_at=now,
        )
    )


async def _registration(connection: AsyncConnection, contract: ContractId) -> Any:
    rows = await connection.execute(
        select(RegistrationRow.document, RegistrationRow.unregistered_at).where(_is(RegistrationRow, contract))
    )
    return rows.first()


def _is(table: type[RegisteredContract] | type[RegistrationRow], contract: ContractId) -> Any:
    return and_(table.contract_name == contract.name, table.contract_version == contract.version)
