"""Connections to a DuckDB file that are held for one call only, so that dbt can write between two of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from floe_core.errors import ConnectionError  # noqa: A004 - the name that the interface gives

_PAUSE_SECONDS = 0.05


@contextmanager
def connected(path: Path, *, read_only: bool, wait_seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that is closed at the end; a file that another process holds is waited for.

    Raises:
        ConnectionError: The file cannot be opened, or was held for all of the time.
    """
    deadline = time.monotonic() + wait_seconds
    while (connection := _try_open(path, read_only=read_only, last_try=time.monotonic() >= deadline)) is None:
        time.sleep(_PAUSE_SECONDS)
    try:
        yield connection
    finally:
        connection.close()


def _try_open(path: Path, *, read_only: bool, last_try: bool) -> duckdb.DuckDBPyConnection | None:
    """A connection, or None if another process holds the file and it is worth trying again."""
    try:
        return duckdb.connect(str(path), read_only=read_only)
    except duckdb.Error as error:
        # DuckDB has one exception for all troubles with files; the text tells them apart.
        # The second one: another thread of this process is just closing the file.
        is_held = any(sign in str(error) for sign in ("Could not set lock", "Unique file handle conflict"))
        if is_held and not last_try:
            return None
        if is_held:
            raise ConnectionError(
                f"Another process holds {path.name}.", remedy="Try again when it has ended."
            ) from None
        if read_only and not path.exists():
            raise ConnectionError(f"There is no file {path}.", remedy="Check `path` in the configuration.") from None
        raise ConnectionError(f"{path} cannot be opened: {str(error).splitlines()[0]}") from None
