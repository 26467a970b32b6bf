"""What to do with a spool file that is damaged: keep it under another name, and read out of it what can be read."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from floe_sidecar.events import digest as digest_of
from floe_sidecar.runs import Begins

_READ = "SELECT e.sequence, e.run, e.digest, b.body FROM events e JOIN bodies b USING (sequence) ORDER BY e.sequence "
_READ_RUNS = "SELECT run, run_id, namespace, name, begun_at FROM open_runs ORDER BY number"
_COMPANIONS = ("-wal", "-shm")


def set_aside(path: Path, now: float) -> Path:
    """Renames the file, with its write-ahead log, to a name that says when; gives the new path."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    aside, number = path.with_name(f"{path.name}.damaged-{stamp}"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    if path.exists():
        path.rename(aside)
    for companion in _COMPANIONS:
        beside = path.with_name(path.name + companion)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + companion))
    return aside


def readable_events(path: Path) -> Iterator[tuple[int, str, bytes]]:
    """Sequence, run and body of each waiting event that still has the digest it was written with, in order.

    Reads from the front as far as the first damaged page and from the back as far as the last one; what stands
    between two damaged pages stays in the file that was set aside.
    """
    found: dict[int, tuple[str, bytes]] = {}
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for direction in ("ASC", "DESC"):
                _read_until_damage(connection, direction, found)
    except sqlite3.Error:
        pass  # not even the header can be read: nothing to take over
    for sequence in sorted(found):
        yield (sequence, *found[sequence])


def readable_open_runs(path: Path) -> list[tuple[str, Begins]]:
    """The open runs that can still be read, as what their START said."""
    found: list[tuple[str, Begins]] = []
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for run, run_id, namespace, name, begun_at in connection.execute(_READ_RUNS):
                if all(isinstance(text, str) for text in (run, run_id, namespace, name)) and isinstance(
                    begun_at, float
                ):
                    found.append((run, Begins(run_id, namespace, name, begun_at)))
    except sqlite3.Error:
        pass  # what stood behind the damage is left open
    return found


def _read_until_damage(connection: sqlite3.Connection, direction: str, found: dict[int, tuple[str, bytes]]) -> None:
    try:
        rows = connection.execute(_READ + direction)
        for sequence, run, digest, body in rows:
            if sequence in found:
                return
            if isinstance(run, str) and isinstance(body, bytes) and digest_of(body) == digest:
                found[sequence] = (run, body)
    except sqlite3.Error:
        return
