"""What probes make of a source's answers."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from floe_core.errors import ConnectionError  # noqa: A004 - the interfaces' name
from floe_core.plugin_interfaces.catalog import Column
from floe_core.plugin_interfaces.compute import ConnectionResult, ConnectionStatus
from floe_monitor.checks.freshness import NewestRow
from floe_monitor.probes.availability import ping
from floe_monitor.probes.freshness import observe_freshness
from floe_monitor.probes.source import Source
from floe_monitor.probes.sql import newest_row, quoted, timestamp_column
from monitor.tests.builders import HOUR, NOW, SECOND, contract
from monitor.tests.sources import DOWN, HEALTHY, ToldCompute, duckdb_source, make_orders, told_source

pytestmark = pytest.mark.requirement("FR-007", "FR-008", "FR-010", "FR-019", "FR-022")
AT_ONCE = timedelta()


async def observe(source: Source, *, column: str | None = "updated_at") -> NewestRow:
    return (await observe_freshness(contract(column=column), source, clock=lambda: NOW)).rows[0]


async def answered(*row: Any) -> NewestRow:
    return await observe(told_source(ToldCompute(rows=lambda: [row])))


async def test_age_is_told_by_the_sources_own_clock(tmp_path: Path) -> None:
    make_orders(tmp_path / "w.duckdb", age=HOUR)
    row = await observe(duckdb_source(tmp_path / "w.duckdb"))
    assert row.newest is not None
    assert row.observed_at is not None
    assert HOUR <= row.observed_at - row.newest < HOUR + 60 * SECOND


async def test_without_a_clock_of_the_source_ours_is_used() -> None:
    assert (await answered(NOW - HOUR, None)).observed_at == NOW
    assert (await answered(NOW - HOUR, NOW.replace(tzinfo=None))).observed_at == NOW


async def test_the_skew_of_the_sources_clock_is_measured_where_it_has_one() -> None:
    assert (await answered(NOW, NOW + 3 * SECOND)).clock_skew == 3 * SECOND
    assert (await answered(NOW, None)).clock_skew is None
    times = iter([NOW, NOW + 4 * SECOND])
    told = contract(column="updated_at")
    source = told_source(ToldCompute(rows=lambda: [(NOW, NOW + 2 * SECOND)]))
    [row] = (await observe_freshness(told, source, clock=lambda: next(times))).rows
    assert row.clock_skew == timedelta()  # it answered in the middle


async def test_one_query_asks_for_both_times() -> None:
    compute = ToldCompute(rows=lambda: [(NOW, NOW)])
    await observe(told_source(compute))
    assert compute.queries == ['SELECT MAX("updated_at"), CURRENT_TIMESTAMP FROM "main"."orders"']


async def test_an_empty_table_has_no_newest_row(tmp_path: Path) -> None:
    make_orders(tmp_path / "w.duckdb", age=HOUR)
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("DELETE FROM orders")
    row = await observe(duckdb_source(tmp_path / "w.duckdb"))
    assert (row.newest, row.failure) == (None, None)


async def test_a_date_is_its_first_moment() -> None:
    assert (await answered(date(2026, 3, 29), NOW)).newest == datetime(2026, 3, 29)  # noqa: DTZ001 - as the source gave it


async def test_a_column_that_is_no_timestamp_is_for_a_person_to_mend() -> None:
    row = await answered(42, NOW)
    assert row.is_configuration
    assert row.failure == "The column holds int, not a timestamp."


async def test_the_column_is_found_if_the_contract_names_none(tmp_path: Path) -> None:
    make_orders(tmp_path / "w.duckdb", age=HOUR)
    row = await observe(duckdb_source(tmp_path / "w.duckdb"), column=None)
    assert row.element == "orders.updated_at"
    assert row.newest is not None


async def test_a_table_without_such_a_column_is_declared_and_not_checkable(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 1 AS id, now() AS a, now() AS b")
    row = await observe(duckdb_source(tmp_path / "w.duckdb"), column=None)
    assert row.is_configuration
    assert "declared and cannot be checked" in (row.failure or "")


async def test_a_missing_file_is_a_failure_of_the_source(tmp_path: Path) -> None:
    row = await observe(duckdb_source(tmp_path / "nowhere.duckdb"))
    assert "There is no file" in (row.failure or "")
    assert not row.is_configuration


async def test_a_plugin_that_raises_is_translated() -> None:
    def fail() -> list[tuple[Any, ...]]:
        raise KeyError("boom")

    row = await observe(told_source(ToldCompute(rows=fail)))
    assert "KeyError" in (row.failure or "")


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        pytest.param([("id", "INTEGER"), ("t", "TIMESTAMP")], "t", id="the only timestamp"),
        pytest.param([("created_at", "timestamp"), ("Updated_At", "timestamptz")], "Updated_At", id="by name"),
        pytest.param([("a", "timestamp"), ("b", "timestamp")], None, id="two, neither telling"),
        pytest.param([("updated_at", "varchar")], None, id="a text is no timestamp"),
    ],
)
def test_the_column_that_tells_when_a_row_changed(columns: list[tuple[str, str]], found: str | None) -> None:
    assert timestamp_column(Column(name=name, type=kind) for name, kind in columns) == found


def test_names_are_quoted_as_the_engine_does() -> None:
    assert quoted(["my schema", 'a"b'], "postgres") == '"my schema"."a""b"'
    assert newest_row(["p", "t"], "c", "bigquery") == "SELECT MAX(`c`), CURRENT_TIMESTAMP FROM `p`.`t`"


def sequence(*answers: ConnectionResult) -> Callable[[], ConnectionResult]:
    waiting = list(answers)
    return lambda: waiting.pop(0)


async def test_one_lost_ping_is_asked_again_before_it_counts() -> None:
    source = told_source(ToldCompute(ping=sequence(DOWN, HEALTHY)))
    assert (await ping(source, retry_after=AT_ONCE)).up


async def test_two_lost_pings_are_down_with_the_reason() -> None:
    answer = await ping(told_source(ToldCompute(ping=lambda: DOWN)), retry_after=AT_ONCE)
    assert (answer.up, answer.reason) == (False, "refused")


async def test_degraded_is_up_with_a_reason() -> None:
    degraded = ConnectionResult(status=ConnectionStatus.DEGRADED, latency_ms=250, message="busy")
    answer = await ping(told_source(ToldCompute(ping=lambda: degraded)), clock=lambda: NOW)
    assert (answer.up, answer.reason, answer.latency_seconds, answer.at) == (True, "busy", 0.25, NOW)


async def test_a_probe_that_raises_is_down_with_the_reason() -> None:
    def refuse() -> ConnectionResult:
        raise ConnectionError("no route to host")

    answer = await ping(told_source(ToldCompute(ping=refuse)), retry_after=AT_ONCE)
    assert (answer.up, answer.reason) == (False, "no route to host")


async def test_the_manifest_must_name_a_compute() -> None:
    answer = await ping(Source("none", None, None, told_source(ToldCompute()).workers, SECOND), retry_after=AT_ONCE)
    assert answer.reason == "The manifest names no compute."
    assert datetime.now(UTC) - answer.at < HOUR
