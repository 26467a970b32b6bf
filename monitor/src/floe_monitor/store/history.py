"""Reads what a process has to know of contracts before it goes on with them, e.g. after a restart."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import ARRAY, Boolean, ColumnElement, Row, Select, String, cast, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_monitor.alerts.episodes import Episode
from floe_monitor.checks.availability import WINDOW
from floe_monitor.checks.field_ids import FieldIds
from floe_monitor.contracts.model import ContractId
from floe_monitor.store.records import PastState
from floe_monitor.store.tables import CheckResult, EpisodeRow, FieldIdsRow, SlaStatus

SelectT = TypeVar("SelectT", bound=Select[*tuple[Any, ...]])
_Key = tuple[str, str, str]  # name and version of a contract, type of a check


async def past_states(
    engine: AsyncEngine, contracts: Collection[ContractId], now: datetime, counted: timedelta
) -> dict[tuple[ContractId, ViolationType], PastState]:
    """The remembered state of every check of these contracts.

    Args:
        engine: The store.
        contracts: Whose; a few hundred at once.
        now: The present.
        counted: The window within which broken promises are counted for severity.
    """
    async with engine.connect() as connection:
        last_runs = await _last_runs(connection, contracts)
        open_episodes = await _open_episodes(connection, contracts)
        broken_at = await _broken_at(connection, contracts, now - counted)
        pings = await _pings(connection, contracts, now - WINDOW)
        field_ids = await _field_ids(connection, contracts)
    return {
        (contract, check): PastState(
            last_run=last_runs.get(key),
            open_episodes=tuple(open_episodes[key]),
            broken_at=tuple(broken_at[key]),
            pings=tuple(pings[key]),
            field_ids=field_ids.get(key, FieldIds()),
        )
        for contract in contracts
        for check in ViolationType
        for key in [(contract.name, contract.version, check.value)]
    }


async def _last_runs(connection: AsyncConnection, contracts: Collection[ContractId]) -> Mapping[_Key, datetime]:
    """From how the promises stand: the results themselves are many."""
    latest = func.max(SlaStatus.last_check_time).label("latest")
    key = (SlaStatus.contract_name, SlaStatus.contract_version, SlaStatus.check_type)
    rows = await connection.execute(_of(select(*key, latest), SlaStatus, contracts).group_by(*key))
    return {_key(row): row.latest for row in rows}


async def _open_episodes(
    connection: AsyncConnection, contracts: Collection[ContractId]
) -> defaultdict[_Key, list[Episode]]:
    chosen = select(EpisodeRow.__table__).where(EpisodeRow.closed_at.is_(None))
    found: defaultdict[_Key, list[Episode]] = defaultdict(list)
    for row in await connection.execute(_of(chosen, EpisodeRow, contracts)):
        severity = ViolationSeverity(row.severity)
        found[_key(row)].append(
            Episode(row.id, row.element or None, severity, row.opened_at, row.message, row.broken_at)
        )
    return found


async def _broken_at(
    connection: AsyncConnection, contracts: Collection[ContractId], since: datetime
) -> defaultdict[_Key, list[tuple[str | None, datetime]]]:
    chosen = select(EpisodeRow.__table__).where(EpisodeRow.broken_at >= since).order_by(EpisodeRow.broken_at)
    found: defaultdict[_Key, list[tuple[str | None, datetime]]] = defaultdict(list)
    for row in await connection.execute(_of(chosen, EpisodeRow, contracts)):
        found[_key(row)].append((row.element or None, row.broken_at))
    return found


async def _pings(
    connection: AsyncConnection, contracts: Collection[ContractId], since: datetime
) -> defaultdict[_Key, list[tuple[datetime, bool]]]:
    up = CheckResult.details["up"].astext.cast(Boolean)
    chosen = (
        select(
            CheckResult.contract_name,
            CheckResult.contract_version,
            CheckResult.check_type,
            CheckResult.checked_at,
            up.label("up"),
        )
        .where(
            CheckResult.check_type == ViolationType.AVAILABILITY.value,
            CheckResult.checked_at >= since,
            up.is_not(None),
        )
        .order_by(CheckResult.checked_at)
    )
    found: defaultdict[_Key, list[tuple[datetime, bool]]] = defaultdict(list)
    for row in await connection.execute(_of(chosen, CheckResult, contracts)):
        found[_key(row)].append((row.checked_at, row.up))
    return found


async def _field_ids(connection: AsyncConnection, contracts: Collection[ContractId]) -> Mapping[_Key, FieldIds]:
    drift = ViolationType.SCHEMA_DRIFT.value
    rows = await connection.execute(_of(select(FieldIdsRow.__table__), FieldIdsRow, contracts))
    return {(row.contract_name, row.contract_version, drift): FieldIds.from_document(row.tables) for row in rows}


def _of(chosen: SelectT, table: type[Any], contracts: Collection[ContractId]) -> SelectT:
    return chosen.where(_is_one_of(table, contracts))


def _is_one_of(table: type[Any], contracts: Collection[ContractId]) -> ColumnElement[bool]:
    """By two arrays, since a statement takes no more than 32 767 values."""
    names = cast([contract.name for contract in contracts], ARRAY(String))
    versions = cast([contract.version for contract in contracts], ARRAY(String))
    wanted = func.unnest(names, versions).table_valued("name", "version").render_derived("wanted")
    return tuple_(table.contract_name, table.contract_version).in_(select(wanted.c.name, wanted.c.version))


def _key(row: Row[*tuple[Any, ...]]) -> _Key:
    return row.contract_name, row.contract_version, row.check_type
