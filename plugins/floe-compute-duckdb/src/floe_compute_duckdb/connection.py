"""Read-only connections to a DuckDB file that are held for one query only.

DuckDB lets one process write or several read: a connection that stays open would lock dbt out. A file that is being
written is waited for, and told apart from one that cannot be used.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer

import duckdb

from floe_core.errors import ConnectionError, ExecutionError  # noqa: A004 - the name that the interface gives

_PAUSE_SECONDS = 0.05


class FileIsBeingWrittenError(ConnectionError):
    """Another process writes the file; it can be read when that one has ended."""


@contextmanager
def reading(path: Path, *, wait_seconds: float, external_access: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that cannot write, closed at the end.

    Args:
        path: The database file.
        wait_seconds: How long a file that another process writes is waited for.
        external_access: Whether queries may read other files and addresses; a contract names tables as it likes, and
            DuckDB takes `"https://…/x.csv"` for one.

    Raises:
        FileIsBeingWrittenError: Another process held the file for all of `wait_seconds`.
        ConnectionError: There is no such file, or it is no DuckDB database.
    """
    connection = _open(path, time.monotonic() + wait_seconds)
    try:
        if not external_access:
            # By a statement: DuckDB refuses a second connection of this process that has another configuration.
            connection.execute("SET enable_external_access = false")
        yield connection
    finally:
        connection.close()


def _open(path: Path, deadline: float) -> duckdb.DuckDBPyConnection:
    while True:
        try:
            return duckdb.connect(str(path), read_only=True)
        except duckdb.Error as error:
            # DuckDB has one exception for all troubles with files; the text tells them apart.
            # The second one: another thread of this process is just closing the file.
            if not any(sign in str(error) for sign in ("Could not set lock", "Unique file handle conflict")):
                raise _unreachable(path, error) from None
            if time.monotonic() >= deadline:
                raise FileIsBeingWrittenError(
                    f"Another process is writing {path.name}.",
                    remedy="DuckDB lets one process write or several read; it is tried again at the next check.",
                ) from None
            time.sleep(_PAUSE_SECONDS)


def _unreachable(path: Path, error: duckdb.Error) -> ConnectionError:
    if not path.exists():
        return ConnectionError(f"There is no file {path}.", remedy="Check `path` in the plugin's configuration.")
    return ConnectionError(f"{path} cannot be opened: {first_line(error)}")


@contextmanager
def time_limit(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    """Ends a statement of the connection that takes longer.

    Raises:
        ExecutionError: The statement failed or was ended.
    """
    timer = Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException:
        raise ExecutionError(f"The query took longer than {seconds:g} s and was ended.") from None
    except duckdb.Error as error:
        raise ExecutionError(f"The query failed: {_without_values(error)}") from None
    finally:
        timer.cancel()


def _without_values(error: duckdb.Error) -> str:
    """What is wrong with a query; of what is wrong with the rows only its kind, since the text quotes values."""
    about_the_query = (duckdb.ParserException, duckdb.CatalogException, duckdb.BinderException)
    return first_line(error) if isinstance(error, about_the_query) else type(error).__name__


def first_line(error: duckdb.Error) -> str:
    """The message without the excerpt of the query, which may hold literals."""
    return str(error).splitlines()[0]
