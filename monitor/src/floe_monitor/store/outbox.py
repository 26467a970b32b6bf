"""The outbox: alerts wait here until a channel has taken them.

    waiting --claim--> claimed --sent--> done
                          |----failed--> waiting, later
                          '----too old-> given up

An alert is claimed, committed, and only then sent: two dispatchers never send one alert at the same time, and one whose
dispatcher died is claimed again when its claim has run out, with the same id (at least once). The next alert of an
episode waits until the one before it is settled, so that no channel hears of an end before the beginning.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from uuid import UUID

from sqlalchemy import delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import aliased

from floe_core.plugin_interfaces.alert_channel import ContractViolationEvent
from floe_monitor.store.tables import OutboxRow


@dataclass(frozen=True, slots=True)
class ClaimedAlert:
    """An alert that one dispatcher may send now.

    Attributes:
        attempts: How often it has been tried, this time included.
    """

    id: UUID
    channel: str
    event: ContractViolationEvent
    attempts: int
    created_at: datetime


async def claim(
    engine: AsyncEngine, worker: UUID, now: datetime, *, claim_for: timedelta, limit: int
) -> tuple[ClaimedAlert, ...]:
    """Takes alerts that are due, the longest due first; nobody else gets them for `claim_for`."""
    earlier = aliased(OutboxRow)
    waits_for_another = exists().where(
        earlier.episode_id == OutboxRow.episode_id,
        earlier.channel == OutboxRow.channel,
        earlier.position < OutboxRow.position,
        earlier.sent_at.is_(None),
        earlier.given_up_at.is_(None),
    )
    free = (
        select(OutboxRow.id)
        .where(
            OutboxRow.sent_at.is_(None),
            OutboxRow.given_up_at.is_(None),
            OutboxRow.due_at <= now,
            or_(OutboxRow.claimed_until.is_(None), OutboxRow.claimed_until < now),
            ~waits_for_another,
        )
        .order_by(OutboxRow.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = (
        update(OutboxRow)
        .where(OutboxRow.id.in_(free.scalar_subquery()))
        .values(claimed_by=worker, claimed_until=now + claim_for, attempts=OutboxRow.attempts + 1)
        .returning(
            OutboxRow.id, OutboxRow.channel, OutboxRow.event, OutboxRow.attempts, OutboxRow.created_at, OutboxRow.due_at
        )
    )
    async with engine.begin() as connection:
        rows = (await connection.execute(statement)).all()
    rows = sorted(rows, key=attrgetter("due_at"))  # an UPDATE returns rows in any order
    return tuple(
        ClaimedAlert(
            row.id, row.channel, ContractViolationEvent.model_validate(row.event), row.attempts, row.created_at
        )
        for row in rows
    )


async def mark_sent(engine: AsyncEngine, worker: UUID, alert: UUID, now: datetime) -> None:
    """The channel has taken it."""
    await _settle(engine, worker, alert, {"sent_at": now})


async def try_again(engine: AsyncEngine, worker: UUID, alert: UUID, due_at: datetime) -> None:
    """The channel has not taken it; it is due again later."""
    await _settle(engine, worker, alert, {"due_at": due_at})


async def give_up(engine: AsyncEngine, worker: UUID, alert: UUID, now: datetime) -> None:
    """It is too old to be worth telling."""
    await _settle(engine, worker, alert, {"given_up_at": now})


async def _settle(engine: AsyncEngine, worker: UUID, alert: UUID, values: dict[str, datetime]) -> None:
    """A no-op if the claim has passed to another worker meanwhile."""
    async with engine.begin() as connection:
        await connection.execute(
            update(OutboxRow)
            .where(OutboxRow.id == alert, OutboxRow.claimed_by == worker)
            .values(**values, claimed_by=None, claimed_until=None)
        )


async def forget(engine: AsyncEngine, before: datetime, *, batch: int = 10_000) -> int:
    """Deletes alerts that were settled before a moment, batch by batch so that nobody waits for long; how many."""
    old = (
        select(OutboxRow.id)
        .where(func.coalesce(OutboxRow.sent_at, OutboxRow.given_up_at) < before)
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    deleted, last = 0, batch
    while last == batch:
        async with engine.begin() as connection:
            done = await connection.execute(
                delete(OutboxRow).where(OutboxRow.id.in_(old.scalar_subquery())).returning(OutboxRow.id)
            )
            last = len(done.all())
        deleted += last
    return deleted


async def waiting(engine: AsyncEngine) -> int:
    """How many alerts are neither sent nor given up."""
    async with engine.connect() as connection:
        count = await connection.scalar(
            select(func.count()).where(OutboxRow.sent_at.is_(None), OutboxRow.given_up_at.is_(None))
        )
    return count or 0
