"""Partitions by month of results and violations: made ahead, and dropped when all of them is older than is kept.

    ..._before   what there was before there were partitions
    ..._2026_03  a month of UTC, from its first moment to the next month's
    ..._default  rows of months that nobody has made yet; they move when the month is made

Dropping a month takes milliseconds, whatever it holds; single results are thus kept for `retention_days`, and at most
one month more.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

# Partitioned table -> the column that its rows go by.
PARTITIONED: Final = {"contract_check_results": "checked_at", "contract_violations": "detected_at"}
MONTHS_AHEAD: Final = 2
_PARTITION = re.compile(rf"({'|'.join(PARTITIONED)})_(before|default|\d{{4}}_\d{{2}})")
# Any number, but the same in every process that makes partitions.
_LOCK = 0x666C6F70
# Waiting for a table's lock makes everybody who comes later wait too; the next round tries again.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '1s'"
_BOUNDS = text(
    """
    SELECT child.relname AS name,
           (regexp_match(pg_get_expr(child.relpartbound, child.oid), 'TO \\(''([^'']+)''\\)'))[1]::timestamptz AS until
    FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
    WHERE inhparent = CAST(:table AS regclass)
    """
)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of UTC."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        """The month that a moment lies in."""
        there = moment.astimezone(UTC)
        return cls(there.year, there.month)

    def plus(self, months: int) -> "Month":
        """So many months later."""
        years, number = divmod(self.number - 1 + months, 12)
        return Month(self.year + years, number + 1)

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment after it."""
        return self.plus(1).start

    def partition_of(self, table: str) -> str:
        """The name of its partition."""
        return f"{table}_{self.year:04}_{self.number:02}"


def is_partition(name: str) -> bool:
    """Whether a table is a part of another one."""
    return _PARTITION.fullmatch(name) is not None


async def make_ahead(engine: AsyncEngine, now: datetime, *, months: int = MONTHS_AHEAD) -> tuple[str, ...]:
    """Makes the partitions of this month and the next ones that there are not yet; returns their names."""
    made: list[str] = []
    for table in PARTITIONED:
        async with engine.begin() as connection:
            await _alone(connection)
            bounds = await _bounds(connection, table)
            covered = max((until for until in bounds.values() if until is not None), default=None)
            for month in (Month.of(now).plus(ahead) for ahead in range(months + 1)):
                name = month.partition_of(table)
                if name not in bounds and (covered is None or month.start >= covered):
                    await _make(connection, table, month)
                    made.append(name)
    return tuple(made)


async def drop_expired(engine: AsyncEngine, now: datetime, keep: timedelta) -> tuple[str, ...]:
    """Drops the partitions that hold nothing younger than `keep`; returns their names."""
    dropped: list[str] = []
    for table, column in PARTITIONED.items():
        async with engine.begin() as connection:
            await _alone(connection)
            for name, until in (await _bounds(connection, table)).items():
                if until is not None and until <= now - keep:
                    await connection.execute(text(f"DROP TABLE {name}"))
                    dropped.append(name)
            await connection.execute(
                text(f"DELETE FROM {table}_default WHERE {column} < :since"),  # noqa: S608 - fixed names
                {"since": now - keep},
            )
    return tuple(dropped)


async def partitions(engine: AsyncEngine, table: str) -> dict[str, datetime | None]:
    """A table's partitions with the moment that each ends before; None for the default one."""
    async with engine.connect() as connection:
        return await _bounds(connection, table)


async def _alone(connection: AsyncConnection) -> None:
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    await connection.execute(text(_LOCK_TIMEOUT))


async def _bounds(connection: AsyncConnection, table: str) -> dict[str, datetime | None]:
    rows = await connection.execute(_BOUNDS, {"table": table})
    return {row.name: row.until for row in rows}


async def _make(connection: AsyncConnection, table: str, month: Month) -> None:
    """Attached rather than created in place: that would keep every reader and writer of the whole table waiting."""
    name, column = month.partition_of(table), PARTITIONED[table]
    bounds = {"start": month.start, "end": month.end}
    await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS)"))
    await connection.execute(text(f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE"))
    await connection.execute(
        text(
            f"WITH moved AS (DELETE FROM {table}_default WHERE {column} >= :start AND {column} < :end RETURNING *) "  # noqa: S608 - fixed names
            f"INSERT INTO {name} SELECT * FROM moved"
        ),
        bounds,
    )
    await connection.execute(
        text(
            f"ALTER TABLE {table} ATTACH PARTITION {name} "
            f"FOR VALUES FROM ('{month.start.isoformat()}') TO ('{month.end.isoformat()}')"
        )
    )
