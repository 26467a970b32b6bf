"""Reads what a process has to know of a (contract, check) before it goes on with it, e.g. after a restart."""

from datetime import datetime, timedelta

from sqlalchemy import Boolean, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_monitor.alerts.episodes import Episode
from floe_monitor.checks.availability import WINDOW
from floe_monitor.checks.field_ids import FieldIds
from floe_monitor.contracts.model import ContractId
from floe_monitor.store.records import PastState
from floe_monitor.store.tables import CheckResult, EpisodeRow, FieldIdsRow


async def past_state(
    engine: AsyncEngine, contract: ContractId, check: ViolationType, now: datetime, counted: timedelta
) -> PastState:
    """The remembered state of one (contract, check).

    Args:
        engine: The store.
        contract: Whose.
        check: Of which check.
        now: The present.
        counted: The window within which broken promises are counted for severity.
    """
    async with engine.connect() as connection:
        return PastState(
            last_run=await _last_run(connection, contract, check),
            open_episodes=await _open_episodes(connection, contract, check),
            broken_at=await _broken_at(connection, contract, check, now - counted),
            pings=await _pings(connection, contract, now - WINDOW) if check is ViolationType.AVAILABILITY else (),
            field_ids=await _field_ids(connection, contract) if check is ViolationType.SCHEMA_DRIFT else FieldIds(),
        )


async def _last_run(connection: AsyncConnection, contract: ContractId, check: ViolationType) -> datetime | None:
    return await connection.scalar(
        select(func.max(CheckResult.checked_at)).where(
            CheckResult.contract_name == contract.name,
            CheckResult.contract_version == contract.version,
            CheckResult.check_type == check.value,
        )
    )


async def _open_episodes(
    connection: AsyncConnection, contract: ContractId, check: ViolationType
) -> tuple[Episode, ...]:
    rows = await connection.execute(
        select(
            EpisodeRow.id,
            EpisodeRow.element,
            EpisodeRow.severity,
            EpisodeRow.opened_at,
            EpisodeRow.message,
            EpisodeRow.broken_at,
        ).where(
            EpisodeRow.contract_name == contract.name,
            EpisodeRow.contract_version == contract.version,
            EpisodeRow.check_type == check.value,
            EpisodeRow.closed_at.is_(None),
        )
    )
    return tuple(
        Episode(row.id, row.element or None, ViolationSeverity(row.severity), row.opened_at, row.message, row.broken_at)
        for row in rows
    )


async def _broken_at(
    connection: AsyncConnection, contract: ContractId, check: ViolationType, since: datetime
) -> tuple[tuple[str | None, datetime], ...]:
    rows = await connection.execute(
        select(EpisodeRow.element, EpisodeRow.broken_at)
        .where(
            EpisodeRow.contract_name == contract.name,
            EpisodeRow.contract_version == contract.version,
            EpisodeRow.check_type == check.value,
            EpisodeRow.broken_at >= since,
        )
        .order_by(EpisodeRow.broken_at)
    )
    return tuple((row.element or None, row.broken_at) for row in rows if row.broken_at is not None)


async def _field_ids(connection: AsyncConnection, contract: ContractId) -> FieldIds:
    document = await connection.scalar(
        select(FieldIdsRow.tables).where(
            FieldIdsRow.contract_name == contract.name, FieldIdsRow.contract_version == contract.version
        )
    )
    return FieldIds.from_document(document or {})


async def _pings(
    connection: AsyncConnection, contract: ContractId, since: datetime
) -> tuple[tuple[datetime, bool], ...]:
    up = CheckResult.details["up"].astext.cast(Boolean)
    rows = await connection.execute(
        select(CheckResult.checked_at, up.label("up"))
        .where(
            CheckResult.contract_name == contract.name,
            CheckResult.contract_version == contract.version,
            CheckResult.check_type == ViolationType.AVAILABILITY.value,
            CheckResult.checked_at >= since,
            up.is_not(None),
        )
        .order_by(CheckResult.checked_at)
    )
    return tuple((row.checked_at, row.up) for row in rows)
