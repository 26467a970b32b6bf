"""Work that one replica does for all: claimed in the database before it is done, due again some time after.

All times are the database's. A replica that dies with a duty is missed when its claim runs out; every duty may be done
twice without harm, so nothing has to be fenced.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, or_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.store.tables import DutyRow


async def claim(engine: AsyncEngine, replica: UUID, name: str, claim_for: timedelta) -> bool:
    """Whether this replica may do the duty now: it is due, and nobody does it."""
    is_free = or_(DutyRow.claimed_until.is_(None), DutyRow.claimed_until < func.now())
    async with engine.begin() as connection:
        await connection.execute(upsert(DutyRow).values(name=name, due_at=func.now()).on_conflict_do_nothing())
        claimed = await connection.execute(
            update(DutyRow)
            .where(DutyRow.name == name, DutyRow.due_at <= func.now(), is_free)
            .values(holder=replica, claimed_until=func.now() + claim_for)
            .returning(DutyRow.name)
        )
        return claimed.first() is not None


async def finish(engine: AsyncEngine, replica: UUID, name: str, due_in: timedelta) -> None:
    """It is done, and due again in so long."""
    await _settle(engine, replica, name, {"due_at": func.now() + due_in, "finished_at": func.now()})


async def fail(engine: AsyncEngine, replica: UUID, name: str, due_in: timedelta) -> None:
    """It was not done; somebody tries again in so long."""
    await _settle(engine, replica, name, {"due_at": func.now() + due_in})


async def _settle(engine: AsyncEngine, replica: UUID, name: str, values: dict[str, object]) -> None:
    """A no-op if the claim has passed to another replica meanwhile."""
    async with engine.begin() as connection:
        await connection.execute(
            update(DutyRow)
            .where(DutyRow.name == name, DutyRow.holder == replica)
            .values(**values, holder=None, claimed_until=None)
        )
