"""The database: connecting and migrating. One dialect, PostgreSQL through asyncpg."""

from collections.abc import Callable

import structlog
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from floe_core.errors import ConfigurationError
from floe_monitor.store.compatibility import current_revision, is_newer, note_readability

_log = structlog.get_logger(__name__)
# Any number, but the same in every process that migrates (`pg_advisory_xact_lock`).
MIGRATION_LOCK = 0x666C6F65
_CONNECT_SECONDS = 5
_COMMAND_SECONDS = 30
# Building an index of a large table takes minutes; cut off and begun anew, a migration would never end.
_MIGRATION_SECONDS = 3600
# Who waits for another's migration goes on without the store after this time, and asks again.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '30s'"


def open_engine(url: str | URL, *, pool_size: int = 5, statement_seconds: float = _COMMAND_SECONDS) -> AsyncEngine:
    """An engine for a PostgreSQL URL; nothing is connected yet.

    Args:
        url: Of the database.
        pool_size: How many connections stay open; as many again may be opened for a while.
        statement_seconds: Longest statement.

    Raises:
        ConfigurationError: It is no PostgreSQL URL. The URL is not shown: it may hold a password.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise ConfigurationError(
            "The database URL is not one of PostgreSQL.",
            remedy="Write postgresql://user:password@host:5432/database, or leave it out for an embedded database.",
        )
    return create_async_engine(
        parsed.set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        pool_pre_ping=True,
        connect_args={
            "timeout": _CONNECT_SECONDS,
            "command_timeout": statement_seconds,
            "server_settings": {"application_name": "floe-monitor"},
        },
    )


async def upgrade(engine: AsyncEngine, revision: str = "head") -> None:
    """Brings the schema to a revision, however long it takes; processes that start together wait for each other.

    A newer schema that this version can work on stays as it is.

    Raises:
        ConfigurationError: A newer version has made the schema, and this one cannot work on it.
    """
    await _migrate(engine, lambda config: command.upgrade(config, revision))


async def downgrade(engine: AsyncEngine, revision: str) -> None:
    """Takes the schema back to a revision, `base` for an empty database; a newer one than ours stays as it is."""
    await _migrate(engine, lambda config: command.downgrade(config, revision))


async def is_current(engine: AsyncEngine) -> bool:
    """Whether the schema is what this version expects."""
    async with engine.connect() as connection:
        found = await connection.run_sync(current_revision)
    return found == ScriptDirectory.from_config(_config()).get_current_head()


async def _migrate(engine: AsyncEngine, action: Callable[[Config], None]) -> None:
    def run(connection: Connection) -> None:
        connection.execute(text(_LOCK_TIMEOUT))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        config = _config()
        scripts = ScriptDirectory.from_config(config)
        if is_newer(connection, scripts):
            _log.warning("store.newer_schema", schema=current_revision(connection), ours=scripts.get_current_head())
            return
        config.attributes["connection"] = connection
        action(config)
        note_readability(connection, scripts)

    patient = open_engine(engine.url, pool_size=1, statement_seconds=_MIGRATION_SECONDS)
    try:
        async with patient.begin() as connection:
            await connection.run_sync(run)
    finally:
        await patient.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "floe_monitor:store/migrations")
    return config
