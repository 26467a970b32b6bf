"""Daily aggregates: what is left of single results for ever.

A day is one of UTC: it has 24 hours everywhere and always. Aggregating a day anew gives the same row, and takes in what
was stored late; which days need it stands in a table of marks that is written with the results themselves.

Uptime counts as in `floe_monitor.checks.availability`: an observation stands for the time up to the next one, if that
comes in time (`holds_for_seconds`); of a time that crosses midnight each day gets its part.
"""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_monitor.store.partitions import PARTITIONED
from floe_monitor.store.tables import DayToAggregate

# A day's mark stays for so long after its end, so that results on their way are not missed.
_STAYS_MARKED: Final = timedelta(days=2)
_DAY: Final = timedelta(days=1)
# How far beyond the day the neighbours of its first and last observation are looked for.
_NEIGHBOURS: Final = _DAY

_AGGREGATE = text(
    """
    WITH counted AS (
        SELECT contract_name, contract_version, check_type,
               count(*) AS total,
               count(*) FILTER (WHERE status = 'pass') AS passed,
               count(*) FILTER (WHERE status = 'fail') AS failed,
               count(*) FILTER (WHERE status = 'error') AS errors,
               count(*) FILTER (WHERE status = 'unknown') AS unknown,
               count(*) FILTER (WHERE status = 'skipped') AS skipped,
               avg(duration_seconds) AS avg_duration,
               count((details->>'quality_score')::float8) AS scored,
               min((details->>'quality_score')::float8) AS min_score,
               max((details->>'quality_score')::float8) AS max_score,
               avg((details->>'quality_score')::float8) AS avg_score
        FROM contract_check_results
        WHERE check_type = ANY(:types) AND checked_at >= :start AND checked_at < :end
        GROUP BY contract_name, contract_version, check_type
    ), observed AS (
        SELECT contract_name, contract_version, checked_at,
               (details->>'up')::boolean AS up,
               coalesce((details->>'holds_for_seconds')::float8, :holds_for) AS holds_for,
               lead(checked_at) OVER (PARTITION BY contract_name, contract_version ORDER BY checked_at) AS next_at
        FROM contract_check_results
        WHERE check_type = 'availability' AND details->>'up' IS NOT NULL
              AND checked_at >= :start - CAST(:neighbours AS interval)
              AND checked_at < :end + CAST(:neighbours AS interval)
    ), times AS (
        SELECT contract_name, contract_version, up,
               extract(epoch FROM least(next_at, :end) - greatest(checked_at, :start)) AS seconds
        FROM observed
        WHERE next_at > :start AND checked_at < :end AND extract(epoch FROM next_at - checked_at) <= holds_for
    ), uptime AS (
        SELECT contract_name, contract_version, 'availability' AS check_type,
               sum(seconds)::float8 AS observed, coalesce(sum(seconds) FILTER (WHERE up), 0)::float8 AS up
        FROM times
        GROUP BY contract_name, contract_version
    ), violated AS (
        SELECT contract_name, contract_version, violation_type AS check_type, count(*) AS violations
        FROM contract_violations
        WHERE severity = ANY(:severities) AND detected_at >= :start AND detected_at < :end
        GROUP BY contract_name, contract_version, violation_type
    )
    INSERT INTO contract_daily_aggregates (
        contract_name, contract_version, check_type, date, total_checks, passed_checks, failed_checks, error_checks,
        unknown_checks, skipped_checks, avg_duration_seconds, scored_checks, min_quality_score, max_quality_score,
        avg_quality_score, observed_seconds, up_seconds, uptime_pct, violation_count
    )
    SELECT contract_name, contract_version, check_type, :day, total, passed, failed, errors, unknown, skipped,
           avg_duration, scored, min_score, max_score, avg_score, coalesce(observed, 0), coalesce(up, 0),
           100 * up / nullif(observed, 0), coalesce(violations, 0)
    FROM counted
    LEFT JOIN uptime USING (contract_name, contract_version, check_type)
    LEFT JOIN violated USING (contract_name, contract_version, check_type)
    ON CONFLICT (contract_name, contract_version, check_type, date) DO UPDATE SET
        total_checks = excluded.total_checks,
        passed_checks = excluded.passed_checks,
        failed_checks = excluded.failed_checks,
        error_checks = excluded.error_checks,
        unknown_checks = excluded.unknown_checks,
        skipped_checks = excluded.skipped_checks,
        avg_duration_seconds = excluded.avg_duration_seconds,
        scored_checks = excluded.scored_checks,
        min_quality_score = excluded.min_quality_score,
        max_quality_score = excluded.max_quality_score,
        avg_quality_score = excluded.avg_quality_score,
        observed_seconds = excluded.observed_seconds,
        up_seconds = excluded.up_seconds,
        uptime_pct = excluded.uptime_pct,
        violation_count = excluded.violation_count
    """
)


def day_of(moment: datetime) -> date:
    """The day of UTC that a moment lies in."""
    return moment.astimezone(UTC).date()


async def mark_days(connection: AsyncConnection, moments: Collection[datetime], now: datetime) -> None:
    """Notes, in the transaction that stores results of these moments, that their days are to be aggregated."""
    days = {day_of(moment) for moment in moments}
    late = {day for day in days if day < day_of(now - _STAYS_MARKED / 2)}
    # An observation stands for time of the next day too, and the one before it for time up to it.
    late |= {day + step for day in late for step in (-_DAY, _DAY)}
    for day in sorted(days | late):
        mark = upsert(DayToAggregate).values(day=day, marked_at=func.now())
        if day in late:
            # Whoever aggregates an old day takes its mark away: the lock keeps that apart from this transaction.
            mark = mark.on_conflict_do_update(index_elements=["date"], set_={"marked_at": func.now()})
        else:
            mark = mark.on_conflict_do_nothing()
        await connection.execute(mark)


async def aggregate_days(engine: AsyncEngine, now: datetime, *, holds_for: timedelta) -> tuple[date, ...]:
    """Aggregates every day that needs it, oldest first, each in a transaction; returns the days.

    Args:
        engine: The store.
        now: The present.
        holds_for: How long an observation of availability stands where the result does not say it itself.
    """
    async with engine.connect() as connection:
        days = (await connection.scalars(select(DayToAggregate.day).order_by(DayToAggregate.day))).all()
    for day in days:
        async with engine.begin() as connection:
            if day < day_of(now - _STAYS_MARKED):
                await connection.execute(delete(DayToAggregate).where(DayToAggregate.day == day))
            await _aggregate(connection, day, holds_for)
    return tuple(days)


async def _aggregate(connection: AsyncConnection, day: date, holds_for: timedelta) -> None:
    start = datetime.combine(day, time(), UTC)
    # A JIT compilation costs more than such a query; values of every list are named so that an index is used.
    await connection.execute(text("SET LOCAL jit = off"))
    # Rows move when their month's partition is made. A statement with a snapshot from before that and a plan from after
    # it would find them in neither place; what begins under this lock has both from the same side.
    await connection.execute(text(f"LOCK TABLE {', '.join(PARTITIONED)} IN ACCESS SHARE MODE"))
    await connection.execute(
        _AGGREGATE,
        {
            "day": day,
            "start": start,
            "end": start + _DAY,
            "neighbours": _NEIGHBOURS,
            "holds_for": holds_for.total_seconds(),
            "types": [check.value for check in ViolationType],
            "severities": [severity.value for severity in ViolationSeverity],
        },
    )
