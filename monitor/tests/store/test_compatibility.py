"""Older code on a newer schema, on a real PostgreSQL."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.errors import ConfigurationError
from floe_monitor.store.compatibility import current_revision, is_newer, note_readability
from floe_monitor.store.database import downgrade, upgrade

pytestmark = pytest.mark.requirement("HOUSE-10", "FR-002")


def version_with(folder: Path, migrations: Sequence[tuple[str, bool]]) -> ScriptDirectory:
    """The migrations of a version of ours: each with whether it only adds."""
    (folder / "versions").mkdir(parents=True)
    before: str | None = None
    for revision, is_additive in migrations:
        module = f"revision = {revision!r}\ndown_revision = {before!r}\nis_additive = {is_additive}\n"
        (folder / "versions" / f"{revision}.py").write_text(module)
        before = revision
    return ScriptDirectory(str(folder))


async def bring_to(engine: AsyncEngine, scripts: ScriptDirectory) -> None:
    """What a version's start leaves in the database."""

    def migrate(connection: Connection) -> None:
        connection.execute(text("UPDATE alembic_version SET version_num = :now"), {"now": scripts.get_current_head()})
        note_readability(connection, scripts)

    async with engine.begin() as connection:
        await connection.run_sync(migrate)


@pytest.mark.parametrize(
    ("newer", "is_readable"),
    [
        pytest.param([("two", True)], True, id="a step that only adds"),
        pytest.param([("two", True), ("three", True)], True, id="two such steps"),
        pytest.param([("two", False)], False, id="a step that changes"),
        pytest.param([("two", False), ("three", True)], False, id="a step that changes, then one that adds"),
        pytest.param([("two", True), ("three", False)], False, id="a step that adds, then one that changes"),
    ],
)
async def test_older_code_works_on_a_newer_schema_if_every_step_since_only_adds(
    engine: AsyncEngine, tmp_path: Path, newer: list[tuple[str, bool]], is_readable: bool
) -> None:
    older = version_with(tmp_path / "older", [("one", False)])
    await bring_to(engine, version_with(tmp_path / "newer", [("one", False), *newer]))

    async with engine.connect() as connection:
        if is_readable:
            assert await connection.run_sync(is_newer, older)
        else:
            with pytest.raises(ConfigurationError, match=f"schema {newer[-1][0]}; this one works up to one"):
                await connection.run_sync(is_newer, older)


async def test_a_schema_of_ones_own_or_an_older_one_is_not_newer(engine: AsyncEngine, tmp_path: Path) -> None:
    await bring_to(engine, version_with(tmp_path / "older", [("one", False)]))

    async with engine.connect() as connection:
        for folder, more in (("same", []), ("newer", [("two", False)])):
            scripts = version_with(tmp_path / folder, [("one", False), *more])
            assert not await connection.run_sync(is_newer, scripts)


@pytest.mark.parametrize("step", [upgrade, lambda engine: downgrade(engine, "base")], ids=["up", "down"])
async def test_a_newer_schema_that_can_be_read_stays_as_it_is(engine: AsyncEngine, step: object) -> None:
    ours = await revision_of(engine)
    await say(engine, "9999", readable_from=ours)

    await asyncio.wait_for(step(engine), 30)  # type: ignore[operator]  # one of two functions of ours

    assert await revision_of(engine) == "9999"


async def test_a_newer_schema_that_cannot_be_read_is_refused_with_what_to_do(engine: AsyncEngine) -> None:
    await say(engine, "9999", readable_from="9999")

    with pytest.raises(ConfigurationError, match=r"schema 9999.*[Rr]un the newer version again"):
        await upgrade(engine)


async def test_what_nobody_has_noted_is_not_readable(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("COMMENT ON TABLE alembic_version IS NULL"))
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(ConfigurationError, match="schema 9999"):
        await upgrade(engine)


async def say(engine: AsyncEngine, revision: str, *, readable_from: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = :now"), {"now": revision})
        await connection.execute(text(f"COMMENT ON TABLE alembic_version IS 'readable from {readable_from}'"))


async def revision_of(engine: AsyncEngine) -> str:
    async with engine.connect() as connection:
        found = await connection.run_sync(current_revision)
    assert found is not None
    return found
