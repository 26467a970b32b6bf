"""The schema's steps, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.errors import ConfigurationError
from floe_monitor.store.aggregates import aggregate_days
from floe_monitor.store.database import MIGRATION_LOCK, downgrade, is_current, open_engine, upgrade
from floe_monitor.store.partitions import PARTITIONED, is_partition, make_ahead, partitions
from floe_monitor.store.results import record
from floe_monitor.store.tables import Table
from monitor.tests.builders import check_run

pytestmark = pytest.mark.requirement("FR-002", "HOUSE-10")


@pytest.fixture
async def fresh(empty_database: str) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(empty_database)
    yield engine
    await engine.dispose()


async def tables(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        return set(await connection.run_sync(lambda sync: inspect(sync).get_table_names()))


async def test_an_empty_database_is_brought_to_the_schema_and_back(fresh: AsyncEngine) -> None:
    assert not await is_current(fresh)
    await upgrade(fresh)
    assert await is_current(fresh)
    assert set(Table.metadata.tables) < await tables(fresh)
    await downgrade(fresh, "base")
    assert await tables(fresh) == {"alembic_version"}
    await upgrade(fresh)
    assert await is_current(fresh)


async def test_models_and_migrations_say_the_same(engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[object]:
        def is_ours(name: str | None, kind: str, _parents: object) -> bool:
            return kind != "table" or not is_partition(name or "")

        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_name": is_ours})
        return list(compare_metadata(context, Table.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_results_of_the_previous_release_stay_where_they_are_and_can_be_taken_back(fresh: AsyncEngine) -> None:
    await upgrade(fresh, "0003")
    async with fresh.begin() as connection:
        await connection.execute(_OLD_RESULTS)
        await connection.execute(_OLD_VIOLATIONS)
    before = await rows(fresh)
    await upgrade(fresh)
    assert await rows(fresh) == before
    assert await partitions(fresh, "contract_check_results") == {
        "contract_check_results_before": datetime(2026, 4, 1, tzinfo=UTC),
        "contract_check_results_default": None,
    }
    await record(fresh, [check_run(at=datetime(2026, 3, 31, 23, 59, tzinfo=UTC))])
    await make_ahead(fresh, datetime(2026, 3, 20, tzinfo=UTC))
    await aggregate_days(fresh, datetime(2026, 4, 20, tzinfo=UTC), holds_for=timedelta(minutes=10))
    async with fresh.connect() as connection:
        total = await connection.scalar(text("SELECT sum(total_checks) FROM contract_daily_aggregates"))
    assert total == 101
    await downgrade(fresh, "0003")
    assert [len(found) for found in await rows(fresh)] == [101, 10]
    await upgrade(fresh)
    assert [len(found) for found in await rows(fresh)] == [101, 10]


async def test_both_tables_are_partitioned_by_their_rows_time(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        found = await connection.execute(
            text(
                "SELECT partrelid::regclass::text AS name, pg_get_partkeydef(partrelid) AS by FROM pg_partitioned_table"
            )
        )
        assert {(row.name, row.by) for row in found} == {
            (table, f"RANGE ({column})") for table, column in PARTITIONED.items()
        }


_OLD_RESULTS = text(
    """
    INSERT INTO contract_check_results
    SELECT gen_random_uuid(), 's.p/orders', '1.0.0', 'freshness', 'pass', at, at, 0.05, '{}'
    FROM generate_series(timestamptz '2026-01-15 00:00Z', '2026-03-14 00:00Z', interval '14 hours') AS at
    LIMIT 100
    """
)
_OLD_VIOLATIONS = text(
    """
    INSERT INTO contract_violations
    SELECT gen_random_uuid(), contract_name, contract_version, check_type, 'error', 'stale', NULL, NULL, NULL, '[]',
           checked_at, id, NULL
    FROM contract_check_results ORDER BY checked_at LIMIT 10
    """
)


async def rows(engine: AsyncEngine) -> list[list[object]]:
    """All results and violations."""
    async with engine.connect() as connection:
        return [
            [tuple(row) for row in await connection.execute(text(f"SELECT * FROM {table} ORDER BY id"))]  # noqa: S608 - fixed names
            for table in PARTITIONED
        ]


async def test_processes_that_start_together_migrate_once(fresh: AsyncEngine) -> None:
    await asyncio.gather(*(upgrade(fresh) for _ in range(4)))
    assert await is_current(fresh)


@pytest.mark.parametrize("url", ["sqlite://", "nonsense", "mysql://u:hunter2@host/db"])
def test_a_url_of_something_else_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_engine(url)
    assert url not in str(caught.value)


async def test_a_migration_may_take_longer_than_any_other_statement(empty_database: str) -> None:
    other, impatient = open_engine(empty_database), open_engine(empty_database, statement_seconds=0.1)
    async with other.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        migrating = asyncio.create_task(upgrade(impatient))
        await asyncio.wait([migrating], timeout=0.5)
        assert not migrating.done()
    await asyncio.wait_for(migrating, 20)
    assert await is_current(other)
    for engine in (other, impatient):
        await engine.dispose()
