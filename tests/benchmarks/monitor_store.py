"""The monitor's store with 90 days of results: aggregating a day, dropping a month, and what a report asks.

The rows are those of the default intervals (288 + 96 + 24 + 4 a day and contract), made by the database itself; the
embedded PostgreSQL runs as it does for a user. Runs by hand: `python -m tests.benchmarks.monitor_store`.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.contracts.model import ContractId
from floe_monitor.store.aggregates import aggregate_days, day_of
from floe_monitor.store.database import open_engine, upgrade
from floe_monitor.store.embedded import embedded_server
from floe_monitor.store.history import past_states
from floe_monitor.store.partitions import Month, drop_expired, make_ahead
from tests.benchmarks.report import Table

DAYS: Final = 90
# Seconds between two checks of one contract, by type, at the default intervals.
INTERVALS: Final = {"availability": 300, "freshness": 900, "schema_drift": 3600, "quality": 21600}
_REPEAT: Final = 5

_RESULTS = text(
    """
    INSERT INTO contract_check_results
    SELECT gen_random_uuid(), 'bench.shop/table_' || contract, '1.0.0', CAST(:check AS text),
           CASE WHEN random() < 0.97 THEN 'pass' ELSE 'fail' END, at, at, random() * 0.2,
           CASE CAST(:check AS text)
               WHEN 'availability' THEN jsonb_build_object('up', random() < 0.999, 'latency_seconds', random(),
                    'outcomes', jsonb_build_array(jsonb_build_object('status', 'pass', 'measure', 0.9995)))
               WHEN 'quality' THEN jsonb_build_object('quality_score', 80 + random() * 20, 'outcomes', '[]'::jsonb)
               ELSE jsonb_build_object('outcomes', jsonb_build_array(jsonb_build_object('element', 'orders.updated_at',
                    'status', 'pass', 'measure', random() * 7200, 'threshold', 7200, 'reason', NULL)))
           END
    FROM generate_series(CAST(:start AS timestamptz), CAST(:end AS timestamptz) - interval '1 second',
                         make_interval(secs => :seconds)) AS at,
         generate_series(1, :contracts) AS contract
    """
)
_VIOLATIONS = text(
    """
    INSERT INTO contract_violations
    SELECT gen_random_uuid(), contract_name, contract_version, check_type, 'error', 'stale', 'orders.updated_at', '2 h',
           '3 h', '[]', checked_at, id, NULL
    FROM contract_check_results WHERE status = 'fail'
    """
)
_QUESTIONS: Final = {
    "90 days of one contract's single results, by check and day": """
        SELECT check_type, date_trunc('day', checked_at, 'UTC') AS day, count(*),
               count(*) FILTER (WHERE status = 'pass')
        FROM contract_check_results
        WHERE contract_name = 'bench.shop/table_7' AND contract_version = '1.0.0' AND checked_at >= :since
        GROUP BY check_type, day
    """,
    "90 days of one contract's violations, newest first": """
        SELECT * FROM contract_violations
        WHERE contract_name = 'bench.shop/table_7' AND contract_version = '1.0.0' AND detected_at >= :since
        ORDER BY detected_at DESC LIMIT 1000
    """,
    "90 days of all contracts, from the aggregates": """
        SELECT contract_name, contract_version, check_type, sum(total_checks), sum(passed_checks), sum(violation_count),
               sum(up_seconds) / nullif(sum(observed_seconds), 0)
        FROM contract_daily_aggregates WHERE date >= CAST(:since AS timestamptz)::date
        GROUP BY contract_name, contract_version, check_type
    """,
    "90 days of all contracts' violations by severity and check": """
        SELECT contract_name, check_type, sum(violation_count) FROM contract_daily_aggregates
        WHERE date >= CAST(:since AS timestamptz)::date GROUP BY contract_name, check_type
    """,
    "the last 24 hours of all contracts, by status": """
        SELECT check_type, status, count(*) FROM contract_check_results
        WHERE check_type = ANY(ARRAY['availability', 'freshness', 'schema_drift', 'quality'])
              AND checked_at >= CAST(:now AS timestamptz) - interval '1 day'
        GROUP BY check_type, status
    """,
}


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds that it takes."""
    begin = time.perf_counter()
    await work()
    return time.perf_counter() - begin


async def fill(engine: AsyncEngine, now: datetime, contracts: int) -> int:
    """Makes the partitions and 90 days of results; returns how many."""
    first = now - timedelta(days=DAYS)
    month = Month.of(first)
    while month.start <= now:
        await make_ahead(engine, month.start, months=0)
        month = month.plus(1)
    async with engine.begin() as connection:
        made = 0
        for check, seconds in INTERVALS.items():
            made += (
                await connection.execute(
                    _RESULTS,
                    {"check": check, "seconds": seconds, "start": first, "end": now, "contracts": contracts},
                )
            ).rowcount
        await connection.execute(_VIOLATIONS)
        await connection.execute(
            text(
                "INSERT INTO contract_days_to_aggregate "
                "SELECT CAST(:first AS date) + number, now() FROM generate_series(0, :days) AS number"
            ),
            {"first": day_of(first), "days": DAYS},
        )
    async with engine.connect() as connection:
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await autocommit.execute(text("VACUUM ANALYZE"))
    return made


async def ask(engine: AsyncEngine, question: str, now: datetime) -> None:
    """One question of a report."""
    values = {"since": now - timedelta(days=DAYS), "now": now}
    async with engine.connect() as connection:
        statement = text(question)
        await connection.execute(statement, {name: value for name, value in values.items() if f":{name}" in question})


async def measured(url: str, contracts: int) -> list[tuple[str, str]]:
    """All figures, the slowest of some runs where a run changes nothing."""
    engine = open_engine(url, statement_seconds=600)
    await upgrade(engine)
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    begin = time.perf_counter()
    made = await fill(engine, now, contracts)
    rows = [("rows of results", f"{made:,}"), ("making them", f"{time.perf_counter() - begin:.1f} s")]

    async def aggregate(at: datetime) -> None:
        await aggregate_days(engine, at, holds_for=timedelta(seconds=750))

    rows.append((f"aggregating all {DAYS} days", f"{await timed(lambda: aggregate(now)):.2f} s"))
    times = [await timed(lambda: aggregate(now)) / 3 for _ in range(_REPEAT)]  # today, yesterday, the day before
    rows.append(("aggregating one day, again", f"{max(times) * 1000:.0f} ms"))
    ids = [ContractId.of("bench", "shop", f"table_{number}", "1.0.0") for number in range(1, contracts + 1)]
    restored = await timed(lambda: past_states(engine, ids, now, timedelta(days=1)))
    rows.append((f"what a start restores of {contracts} contracts", f"{restored * 1000:.0f} ms"))
    for name, question in _QUESTIONS.items():
        times = [await timed(lambda question=question: ask(engine, question, now)) for _ in range(_REPEAT)]  # type: ignore[misc]  # a lambda's default
        rows.append((name, f"{max(times) * 1000:.0f} ms"))
    dropping = await timed(lambda: drop_expired(engine, now + timedelta(days=31), timedelta(days=DAYS)))
    rows.append(("dropping what is older than 90 days, a month later", f"{dropping * 1000:.0f} ms"))
    await engine.dispose()
    return rows


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.monitor_store")
    parser.add_argument("--contracts", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="floe-bench-") as folder, embedded_server(Path(folder)) as server:
        rows = asyncio.run(measured(server.url, options.contracts))
    note = f"The slowest of {_REPEAT} where a run changes nothing."
    print(Table("Monitor: the store", ("what", "figure"), tuple(rows), (note,)).markdown())  # noqa: T201 - what was asked for


if __name__ == "__main__":
    main()
