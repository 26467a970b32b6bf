"""How much of the spool each source may fill: in a gateway, each namespace.

A source is what stands before the first slash of what an event is ordered by, as the gateway writes it there, so that
the queue itself says whose each event is. A sidecar has one source and no shares.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from floe_sidecar.records import Record

_SEPARATOR = "/"
_SIZES = "SELECT substr(run, 1, instr(run, '/') - 1), total(size) FROM events "


def of_source(source: str, run: str) -> str:
    """What an event of the source is ordered by."""
    return f"{source}{_SEPARATOR}{run}"


class Shares:
    """The bytes that wait of each source, as of the spool's transactions; without a bound nothing is counted."""

    def __init__(self, max_bytes: int | None) -> None:
        self._max_bytes = max_bytes
        self._sizes: dict[str, int] = {}
        self._before: dict[str, int] = {}

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes by source, of those that have any; a value of its own."""
        return dict(self._sizes)

    def fits(self, records: Sequence[Record], claimed: dict[str, int]) -> bool:
        """Whether records of one source fit into its share beside what was claimed of it; then they claim theirs."""
        if self._max_bytes is None or not records:
            return True
        source = _source(records[0].run)
        claim = claimed.get(source, 0) + sum(record.size for record in records)
        if self._sizes.get(source, 0) + claim > self._max_bytes:
            return False
        claimed[source] = claim
        return True

    def load(self, connection: sqlite3.Connection) -> None:
        """Counts what waits."""
        if self._max_bytes is not None:
            self._sizes = {source: int(size) for source, size in connection.execute(_SIZES + "GROUP BY 1")}

    def begin(self) -> None:
        """A transaction begins; `undo` goes back to here."""
        if self._max_bytes is not None:
            self._before = dict(self._sizes)

    def undo(self) -> None:
        """The transaction was rolled back."""
        self._sizes = self._before

    def add(self, records: Iterable[Record]) -> None:
        """Records are added."""
        if self._max_bytes is None:
            return
        for record in records:
            source = _source(record.run)
            self._sizes[source] = self._sizes.get(source, 0) + record.size

    def remove(self, connection: sqlite3.Connection, sequences: Sequence[int]) -> None:
        """Events are about to be taken out."""
        if self._max_bytes is None:
            return
        some = f"WHERE sequence IN ({','.join('?' * len(sequences))}) GROUP BY 1"
        for source, size in connection.execute(_SIZES + some, sequences).fetchall():
            self._sizes[source] = self._sizes.get(source, 0) - int(size)
            if self._sizes[source] <= 0:
                del self._sizes[source]


def _source(run: str) -> str:
    return run.partition(_SEPARATOR)[0]
