"""The schema's steps, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.errors import ConfigurationError
from floe_monitor.store.database import downgrade, is_current, open_engine, upgrade
from floe_monitor.store.tables import Table

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
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Table.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_processes_that_start_together_migrate_once(fresh: AsyncEngine) -> None:
    await asyncio.gather(*(upgrade(fresh) for _ in range(4)))
    assert await is_current(fresh)


@pytest.mark.parametrize("url", ["sqlite://", "nonsense", "mysql://u:hunter2@host/db"])
def test_a_url_of_something_else_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_engine(url)
    assert url not in str(caught.value)
