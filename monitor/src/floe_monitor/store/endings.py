"""Closes episodes that no check will ever close: of contracts that are watched no more, and of promises that are gone.

Who heard of such an episode is told once that it is over, and why. The change of the row is conditional, and the alerts
are stored with it: whichever replica comes first tells, across restarts too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import RowMapping, and_, exists, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from floe_core.plugin_interfaces.alert_channel import AlertKind, ContractViolationEvent
from floe_monitor.alerts.messages import LAST_POSITION, event_id
from floe_monitor.contracts.model import ContractId
from floe_monitor.store.results import storable
from floe_monitor.store.tables import EpisodeRow, LeaseRow, OutboxRow, RegisteredContract

NOT_WATCHED: Final = "The contract is not watched any more."
NOT_PROMISED: Final = "The contract does not promise this any more."


@dataclass(frozen=True, slots=True)
class OpenEpisode:
    """An open episode, as far as it takes to see whether its promise is still there."""

    id: UUID
    contract: ContractId
    check: str
    element: str | None


async def open_episodes(engine: AsyncEngine, contracts: Collection[ContractId]) -> list[OpenEpisode]:
    """The open episodes of these contracts."""
    by_key = {(contract.name, contract.version): contract for contract in contracts}
    if not by_key:
        return []
    key = tuple_(EpisodeRow.contract_name, EpisodeRow.contract_version)
    query = select(
        EpisodeRow.id, EpisodeRow.contract_name, EpisodeRow.contract_version, EpisodeRow.check_type, EpisodeRow.element
    ).where(EpisodeRow.closed_at.is_(None), key.in_(list(by_key)))
    async with engine.connect() as connection:
        return [
            OpenEpisode(identity, by_key[name, version], check, element or None)
            for identity, name, version, check, element in await connection.execute(query)
        ]


async def end_unwatched(engine: AsyncEngine, now: datetime) -> int:
    """Closes the open episodes of contracts that are not watched and that no replica holds; returns how many."""
    is_watched = exists().where(
        RegisteredContract.contract_name == EpisodeRow.contract_name,
        RegisteredContract.contract_version == EpisodeRow.contract_version,
        RegisteredContract.active,
    )
    # Who holds it may still bring results of runs that go on.
    is_held = exists().where(
        LeaseRow.contract_name == EpisodeRow.contract_name,
        LeaseRow.contract_version == EpisodeRow.contract_version,
        LeaseRow.holder.is_not(None),
        LeaseRow.expires_at > func.now(),
    )
    async with engine.begin() as connection:
        return await _end(connection, and_(~is_watched, ~is_held), NOT_WATCHED, now)


async def end_unpromised(engine: AsyncEngine, episodes: Sequence[UUID], now: datetime) -> int:
    """Closes these episodes, as far as they are open; returns how many were."""
    if not episodes:
        return 0
    async with engine.begin() as connection:
        return await _end(connection, EpisodeRow.id.in_(episodes), NOT_PROMISED, now)


async def _end(connection: AsyncConnection, which: Any, reason: str, now: datetime) -> int:
    closed = await connection.execute(
        update(EpisodeRow)
        .where(EpisodeRow.closed_at.is_(None), which)
        .values(closed_at=now, closed_reason=reason)
        .returning(EpisodeRow.id, EpisodeRow.message)
    )
    messages = {row.id: row.message for row in closed}
    if messages:
        alerts = [_alert(row, reason, messages[row["episode_id"]], now) for row in await _heard(connection, messages)]
        if alerts:
            await connection.execute(insert(OutboxRow), alerts)
    return len(messages)


async def _heard(connection: AsyncConnection, episodes: Collection[UUID]) -> list[RowMapping]:
    """The last alert of each of these episodes for each channel."""
    rows = await connection.execute(
        select(OutboxRow.episode_id, OutboxRow.channel, OutboxRow.event)
        .where(OutboxRow.episode_id.in_(episodes))
        .ext(distinct_on(OutboxRow.episode_id, OutboxRow.channel))
        .order_by(OutboxRow.episode_id, OutboxRow.channel, OutboxRow.position.desc())
    )
    return list(rows.mappings())


def _alert(last: RowMapping, reason: str, message: str, now: datetime) -> dict[str, Any]:
    identity = event_id(last["episode_id"], last["channel"], LAST_POSITION)
    event = ContractViolationEvent.model_validate(last["event"]).model_copy(
        update={
            "id": str(identity),
            "kind": AlertKind.RESOLVED,
            "message": f"{reason} It was: {message}",
            "timestamp": now,
            "check_duration_seconds": 0.0,
        }
    )
    return {
        "id": identity,
        "episode_id": last["episode_id"],
        "position": LAST_POSITION,
        "channel": last["channel"],
        "kind": AlertKind.RESOLVED.value,
        "event": storable(event.model_dump(mode="json")),
        "created_at": now,
        "due_at": now,
        "attempts": 0,
    }
