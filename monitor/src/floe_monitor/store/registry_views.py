"""What the API tells of contracts: which there are, how their promises stand, and what happened to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, and_, desc, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.contracts.model import ContractId
from floe_monitor.store.tables import (
    CheckResult,
    EpisodeRow,
    RegisteredContract,
    RegistrationEventRow,
    RegistrationRow,
    SlaStatus,
    Table,
)

_Query = Select[*tuple[Any, ...]]
_EPISODES, _RUNS_PER_CHECK = 50, 10


@dataclass(frozen=True, slots=True)
class KnownContract:
    """A contract that is or was watched.

    Attributes:
        registered_at: When it was first watched, or last registered by the API.
        unregistered_at: When the API took it away; None if it did not.
        is_of_api: Whether it was registered by the API.
        document: Only where one contract was asked for.
    """

    name: str
    version: str
    active: bool
    registered_at: datetime
    unregistered_at: datetime | None
    is_of_api: bool
    document: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class History:
    """What happened to a contract, the newest first: rows by column."""

    events: Sequence[RowMapping]
    episodes: Sequence[RowMapping]
    runs: Sequence[RowMapping]


async def listed(
    engine: AsyncEngine, *, limit: int, after: tuple[str, str] | None = None, active: bool | None = None
) -> list[KnownContract]:
    """Known contracts by name and version.

    Args:
        engine: The store.
        limit: At most so many.
        after: Only those behind this name and version.
        active: Only those that are watched, or are not any more.
    """
    query = _known().order_by(RegisteredContract.contract_name, RegisteredContract.contract_version).limit(limit)
    if after is not None:
        query = query.where(tuple_(RegisteredContract.contract_name, RegisteredContract.contract_version) > after)
    if active is not None:
        query = query.where(RegisteredContract.active.is_(active))
    return await _rows(engine, query)


async def versions(engine: AsyncEngine, name: str) -> list[KnownContract]:
    """All versions of a contract, the last registered first."""
    query = _known().where(RegisteredContract.contract_name == name)
    return await _rows(
        engine, query.order_by(desc(RegisteredContract.registered_at), RegisteredContract.contract_version)
    )


async def one(engine: AsyncEngine, contract: ContractId) -> KnownContract | None:
    """A contract with its document."""
    query = _known().add_columns(RegisteredContract.contract_data.label("document"))
    found = await _rows(engine, query.where(_of(RegisteredContract, contract)))
    return found[0] if found else None


async def standing(engine: AsyncEngine, contract: ContractId) -> Sequence[RowMapping]:
    """How each promise of a contract stands."""
    query = select(*SlaStatus.__table__.columns).where(_of(SlaStatus, contract))
    async with engine.connect() as connection:
        return await _mappings(connection, query.order_by(SlaStatus.check_type, SlaStatus.element))


async def history(engine: AsyncEngine, contract: ContractId) -> History:
    """The newest events of the registry, episodes, and runs of each check."""
    events = select(*RegistrationEventRow.__table__.columns).where(_of(RegistrationEventRow, contract))
    episodes = select(*EpisodeRow.__table__.columns).where(_of(EpisodeRow, contract))
    async with engine.connect() as connection:
        runs = [
            row
            for check in ViolationType
            for row in await _mappings(connection, _runs(contract, check).limit(_RUNS_PER_CHECK))
        ]
        return History(
            await _mappings(connection, events.order_by(desc(RegistrationEventRow.happened_at)).limit(_EPISODES)),
            await _mappings(connection, episodes.order_by(desc(EpisodeRow.opened_at)).limit(_EPISODES)),
            sorted(runs, key=lambda run: run["checked_at"], reverse=True),
        )


def _runs(contract: ContractId, check: ViolationType) -> _Query:
    return (
        select(
            CheckResult.id,
            CheckResult.check_type,
            CheckResult.status,
            CheckResult.planned_at,
            CheckResult.checked_at,
            CheckResult.duration_seconds,
        )
        .where(_of(CheckResult, contract), CheckResult.check_type == check.value)
        .order_by(desc(CheckResult.checked_at))
    )


def _known() -> _Query:
    is_same = and_(
        RegistrationRow.contract_name == RegisteredContract.contract_name,
        RegistrationRow.contract_version == RegisteredContract.contract_version,
    )
    return select(
        RegisteredContract.contract_name.label("name"),
        RegisteredContract.contract_version.label("version"),
        RegisteredContract.active,
        RegisteredContract.registered_at,
        RegistrationRow.unregistered_at,
        RegistrationRow.revision.is_not(None).label("is_of_api"),
    ).outerjoin(RegistrationRow, is_same)


async def _rows(engine: AsyncEngine, query: _Query) -> list[KnownContract]:
    async with engine.connect() as connection:
        return [KnownContract(**row) for row in await _mappings(connection, query)]


async def _mappings(connection: AsyncConnection, query: _Query) -> Sequence[RowMapping]:
    rows = await connection.execute(query)
    return list(rows.mappings())


def _of(table: type[Table], contract: ContractId) -> Any:
    columns = table.__table__.columns
    return and_(columns.contract_name == contract.name, columns.contract_version == contract.version)
