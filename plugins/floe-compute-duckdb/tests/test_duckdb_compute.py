"""DuckDB as compute, on real files."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from floe_compute_duckdb import DuckDBComputeConfig, DuckDBComputePlugin
from floe_core.errors import ConfigurationError, ConnectionError, ExecutionError  # noqa: A004 - the interface's name
from floe_core.plugin_interfaces.compute import ComputeConfig, ConnectionStatus
from floe_core.testing.base_classes import BaseComputePluginTests

pytestmark = pytest.mark.requirement("FR-019", "FR-022")
CONFIG = ComputeConfig(plugin="duckdb", timeout_seconds=5)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 1 AS id, now() AS updated_at")
    return path


def plugin_for(path: Path, *, lock_wait_seconds: float = 0.1) -> DuckDBComputePlugin:
    return DuckDBComputePlugin(DuckDBComputeConfig(path=path, lock_wait_seconds=lock_wait_seconds))


@contextmanager
def written_by_another_process(path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the file for writing until its input ends."""
    program = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read(); c.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "open\n"
        try:
            yield process
        finally:
            process.stdin.close()


class TestDuckDBComputePlugin(BaseComputePluginTests):
    """The suite that every compute plugin inherits."""

    @pytest.fixture
    def plugin(self, file: Path) -> DuckDBComputePlugin:
        return plugin_for(file)

    @pytest.fixture
    def unreachable_config(self, tmp_path: Path) -> ComputeConfig:
        return CONFIG.model_copy(update={"connection": {"path": str(tmp_path / "nowhere.duckdb")}})


def test_rows_come_with_aware_times(file: Path) -> None:
    [(newest, now)] = plugin_for(file).fetch_rows(CONFIG, "SELECT max(updated_at), CURRENT_TIMESTAMP FROM orders", 5)
    assert newest.tzinfo is not None
    assert newest <= now


def test_another_process_can_write_between_two_queries(file: Path) -> None:
    plugin = plugin_for(file)
    plugin.fetch_rows(CONFIG, "SELECT 1", 5)
    with written_by_another_process(file):
        pass
    assert plugin.fetch_rows(CONFIG, "SELECT count(*) FROM orders", 5) == [(1,)]


def test_a_query_cannot_write(file: Path) -> None:
    with pytest.raises(ExecutionError, match="InvalidInput"):
        plugin_for(file).fetch_rows(CONFIG, "DELETE FROM orders", 5)


@pytest.mark.requirement("FR-025")
def test_a_query_reads_no_other_file_unless_the_platform_allows_it(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    query = f"SELECT count(*) FROM '{other}'"  # noqa: S608 - a path of the test's own
    with pytest.raises(ExecutionError):
        plugin_for(file).fetch_rows(CONFIG, query, 5)
    allowed = DuckDBComputePlugin(DuckDBComputeConfig(path=file, external_access=True))
    assert allowed.fetch_rows(CONFIG, query, 5) == [(1,)]


@pytest.mark.requirement("FR-025")
def test_an_error_about_a_row_does_not_quote_its_value(tmp_path: Path) -> None:
    path = tmp_path / "people.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE people AS SELECT 'anna@example.com' AS email")
    with pytest.raises(ExecutionError) as caught:
        plugin_for(path).fetch_rows(CONFIG, "SELECT sum(CAST(email AS INTEGER)) FROM people", 5)
    assert str(caught.value) == "The query failed: ConversionException"


def test_a_file_that_is_being_written_is_degraded_not_unhealthy(file: Path) -> None:
    with written_by_another_process(file):
        result = plugin_for(file).validate_connection(CONFIG)
    assert result.status is ConnectionStatus.DEGRADED
    assert result.message == "Another process is writing warehouse.duckdb."


def test_a_query_waits_while_the_file_is_being_written(file: Path) -> None:
    with written_by_another_process(file) as writer:
        assert writer.stdin is not None
        timer = threading.Timer(0.2, writer.stdin.close)
        timer.start()
        assert plugin_for(file, lock_wait_seconds=10).fetch_rows(CONFIG, "SELECT id FROM orders", 10) == [(1,)]
        timer.join()


def test_a_query_that_takes_too_long_is_ended(file: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(ExecutionError, match=r"longer than .* s and was ended"):
        plugin_for(file).fetch_rows(CONFIG, "SELECT count(*) FROM range(1000000000) a, range(1000) b", 0.2)
    assert time.monotonic() - begin < 5


def test_an_error_shows_neither_the_query_nor_its_literals(file: Path) -> None:
    with pytest.raises(ExecutionError) as caught:
        plugin_for(file).fetch_rows(CONFIG, "SELECT *\nFROM customers WHERE name = 'Ada Lovelace'", 5)
    assert "customers" in str(caught.value)
    assert "Lovelace" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        pytest.param(lambda path: path.write_text("no database" * 1000), "not a valid DuckDB", id="another file"),
        pytest.param(lambda path: path.mkdir(), "directory", id="a folder"),
        pytest.param(lambda path: None, "no file", id="nothing"),  # noqa: ARG005 - nothing is made
    ],
)
def test_what_is_no_database_is_unhealthy_with_the_reason(tmp_path: Path, make: object, says: str) -> None:
    path = tmp_path / "odd.duckdb"
    make(path)  # type: ignore[operator]  # one of the functions above
    result = plugin_for(path).validate_connection(CONFIG)
    assert result.status is ConnectionStatus.UNHEALTHY
    assert says in result.message


def test_the_path_may_come_from_the_caller(file: Path) -> None:
    config = CONFIG.model_copy(update={"connection": {"path": str(file)}})
    assert DuckDBComputePlugin().fetch_rows(config, "SELECT id FROM orders", 5) == [(1,)]


def test_without_a_path_it_says_what_is_missing() -> None:
    with pytest.raises(ConfigurationError, match="needs the path"):
        DuckDBComputePlugin().generate_dbt_profile(CONFIG)
    assert DuckDBComputePlugin().health_check().message == "No path is configured."


def test_a_missing_file_is_a_connection_error(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError, match="There is no file"):
        plugin_for(tmp_path / "nowhere.duckdb").fetch_rows(CONFIG, "SELECT 1", 5)


def test_a_name_with_lock_in_it_is_not_taken_for_a_lock(tmp_path: Path) -> None:
    result = plugin_for(tmp_path / "blocks.duckdb").validate_connection(CONFIG)
    assert result.status is ConnectionStatus.UNHEALTHY


def test_the_dbt_profile_waits_for_readers(file: Path) -> None:
    profile = plugin_for(file).generate_dbt_profile(CONFIG)
    assert profile["path"] == str(file)
    assert profile["retries"]["retryable_exceptions"] == ["IOException"]
