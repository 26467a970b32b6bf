"""The spool's file: what was acknowledged and is not delivered yet, the dead letters, and what was delivered lately.

SQLite in WAL mode; one thread uses a `Spool` (`floe_sidecar.writer`). Events and their bodies are apart, so that
looking for the next event of a run reads a hundred bytes an event and not its body. A file that SQLite cannot read is
set aside with the date in its name, what is readable in it is taken over, and a new file begins: opening never fails
for a damaged file.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from floe_sidecar import runs
from floe_sidecar.events import digest as digest_of
from floe_sidecar.metrics import Clock
from floe_sidecar.records import DeadLetter, Level, Opening, Queued, Record
from floe_sidecar.salvage import readable_events, readable_open_runs, set_aside
from floe_sidecar.shares import Shares
from floe_sidecar.statements import chunks
from floe_sidecar.tables import FOR_ROWS, READ, SCHEMA

FILE_NAME = "spool.sqlite"
TELEMETRY_FILE_NAME = "telemetry.sqlite"
_VERSION = 1
_REMEMBERED = 8192
PAGE_BYTES = 16384
_FEWEST_PAGES = 32
_FEWEST_RUNS = 16
_SETTLING_PAGES = 64
_UNBOUNDED = 1 << 43


class Spool:
    """One open spool file. Every method may raise `sqlite3.Error`; the caller decides what that means."""

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = _UNBOUNDED,
        share_max_bytes: int | None = None,
        file_name: str = FILE_NAME,
        wall_clock: Clock = time.time,
    ) -> None:
        self._path = directory / file_name
        self._max_pages = max(_FEWEST_PAGES, max_bytes // PAGE_BYTES)
        self._wall_clock = wall_clock
        self._runs = runs.OpenRuns(min(runs.MOST_FOLLOWED, max(_FEWEST_RUNS, max_bytes // PAGE_BYTES)))
        self._next = 1
        self.shares = Shares(share_max_bytes)
        self.events = 0
        self.size = 0
        self.dead_letters = 0
        self.dead_size = 0

    def open(self) -> Opening:
        """Opens the file, creating it if there is none, or instead of one that is damaged."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connect()
            sound = self._is_sound()
        except sqlite3.OperationalError:
            raise  # the disk's trouble, not the file's
        except sqlite3.DatabaseError:
            sound = False
        if sound:
            return Opening(self.events, self.size, None, 0)
        return self._begin_again()

    def close(self) -> None:
        """Closes the file; SQLite folds the write-ahead log into it."""
        with suppress(AttributeError):
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What happens inside is on the disk when the block ends, or has not happened."""
        counters = (self._next, self.events, self.size, self.dead_letters, self.dead_size)
        self.shares.begin()
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
            self._runs.confirm()
        except BaseException:
            self._runs.undo()
            self.shares.undo()
            self._next, self.events, self.size, self.dead_letters, self.dead_size = counters
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def room_for_settling(self) -> Iterator[None]:
        """Lets the file grow a little past its bound inside: to delete, SQLite may need a few pages first."""
        self._connection.execute(f"PRAGMA max_page_count={self._max_pages + _SETTLING_PAGES}")
        try:
            yield
        finally:
            self._connection.execute(f"PRAGMA max_page_count={self._max_pages}")

    def lacks_room(self, size: int) -> bool:
        """Whether the file's own bound, and not the disk, is why `size` bytes could not be added."""
        pages = self._connection.execute("PRAGMA page_count").fetchone()[0]
        free = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        return bool((self._max_pages - pages + free - _FEWEST_PAGES) * PAGE_BYTES < 2 * size)

    def make_durable(self, *, durable: bool) -> None:
        """Whether the next commit waits for the disk; what only deletes need not: undone, it is sent once more."""
        self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")

    def append(self, records: Sequence[Record]) -> None:
        """Adds events in their order, inside a transaction."""
        now = self._wall_clock()
        for chunk in chunks(len(records)):
            rows = records[chunk.start : chunk.stop]
            events: list[object] = []
            bodies: list[object] = []
            for record in rows:
                events += [self._next, record.run, record.received_at or now, record.size, record.digest]
                bodies += [self._next, record.body]
                self._next += 1
                self.size += record.size
            # One statement for many rows: each statement gives up the interpreter's lock and has to win it back.
            statements = FOR_ROWS[len(rows)]
            self._connection.execute(statements.insert_events, events)
            self._connection.execute(statements.insert_bodies, bodies)
        self.events += len(records)
        self.shares.add(records)
        signs = [(record.run, record.sign) for record in records if record.sign is not None]
        if signs:
            self._runs.follow(self._connection, signs)

    def settle(self, delivered: Sequence[int], dead: Sequence[DeadLetter]) -> None:
        """Takes delivered events out, inside a transaction; dead letters are kept with their reason."""
        now = self._wall_clock()
        for letter in dead:
            self._connection.execute(
                "INSERT INTO dead_letters SELECT e.sequence, e.run, e.received_at, e.size, e.digest, ?, ?, ?, b.body "
                "FROM events e LEFT JOIN bodies b USING (sequence) WHERE e.sequence = ?",
                (now, letter.reason, letter.detail, letter.sequence),
            )
        sequences = [*delivered, *(letter.sequence for letter in dead)]
        for chunk in chunks(len(sequences)):
            part = sequences[chunk.start : chunk.stop]
            statements = FOR_ROWS[len(part)]
            count, size = self._connection.execute(statements.measure, part).fetchone()
            self.shares.remove(self._connection, part)
            self._connection.execute(statements.remember, [now, *part])
            self._connection.execute(statements.delete_events, part)
            self._connection.execute(statements.delete_bodies, part)
            self.events -= count
            self.size -= int(size)
        if dead:
            self._connection.execute(
                "DELETE FROM delivered WHERE sequence IN (SELECT sequence FROM dead_letters WHERE died_at = ?)", (now,)
            )
            self._count_dead_letters()

    def forget_delivered(self) -> None:
        """Shortens the memory of what was delivered to a bounded number, inside a transaction."""
        self._connection.execute(
            "DELETE FROM delivered WHERE sequence <= "
            "(SELECT sequence FROM delivered ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
            (_REMEMBERED,),
        )

    def drop_oldest_dead_letters(self, max_bytes: int) -> int:
        """Deletes dead letters, oldest first, until the rest fits; says how many, inside a transaction."""
        dropped = 0
        while self.dead_size > max_bytes:
            before = self.dead_letters
            self._connection.execute(
                "DELETE FROM dead_letters WHERE sequence IN "
                "(SELECT sequence FROM dead_letters ORDER BY sequence LIMIT 16)"
            )
            self._count_dead_letters()
            dropped += before - self.dead_letters
        return dropped

    def read_after(self, sequence: int, *, limit: int, max_bytes: int) -> tuple[list[Queued], bool]:
        """The next events of any run, and whether there are more."""
        rows = self._connection.execute(READ + "WHERE e.sequence > ? ORDER BY e.sequence", (sequence,))
        return _take(rows, limit, max_bytes)

    def read_run(self, run: str, *, first: int, last: int, limit: int, max_bytes: int) -> tuple[list[Queued], bool]:
        """The events of one run between two sequences, both included, and whether there are more."""
        rows = self._connection.execute(
            READ + "WHERE e.sequence BETWEEN ? AND ? AND e.run = ? ORDER BY e.sequence", (first, last, run)
        )
        return _take(rows, limit, max_bytes)

    def digests(self, since: float) -> list[tuple[bytes, float]]:
        """What waits or was delivered lately, oldest first, at most as many as are remembered.

        What still waits counts from now, however old it is: a batch that is handed over again must be known.
        """
        rows = self._connection.execute(
            "SELECT digest, at FROM (SELECT sequence, digest, ? AS at FROM events "
            "UNION ALL SELECT sequence, digest, delivered_at FROM delivered) "
            "WHERE at >= ? ORDER BY sequence DESC LIMIT ?",
            (self._wall_clock(), since, _REMEMBERED),
        ).fetchall()
        return rows[::-1]

    @property
    def connection(self) -> sqlite3.Connection:
        """For questions that only people ask (`floe_sidecar.upkeep`)."""
        return self._connection

    def delete_dead_letters(self, sequences: Sequence[int]) -> None:
        """Deletes dead letters, inside a transaction."""
        self._connection.executemany("DELETE FROM dead_letters WHERE sequence = ?", [(number,) for number in sequences])
        self._count_dead_letters()

    def take_over(self, letters: Sequence[Sequence[object]], begun: Sequence[tuple[str, runs.Begins]]) -> int:
        """Adds another spool's dead letters, rows without their sequence, and its open runs; says how many were new."""
        before = self.dead_letters
        with self.room_for_settling(), self.transaction():
            for letter in letters:
                # Taken over already by a process that was killed before it could take them away there.
                self._connection.execute(
                    "INSERT INTO dead_letters SELECT ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE NOT EXISTS "
                    "(SELECT 1 FROM dead_letters WHERE digest = ? AND died_at = ?)",
                    (self._next, *letter, letter[3], letter[4]),
                )
                self._next += 1
            self._runs.follow(self._connection, begun)
            self._count_dead_letters()
        return self.dead_letters - before

    def end_runs(self) -> list[runs.OpenRun]:
        """The open runs; each keeps the moment of the first time that this was asked."""
        with self.room_for_settling(), self.transaction():
            return runs.end_all(self._connection, self._wall_clock())

    def level(self, failure: str) -> Level:
        """How full it is."""
        counts = (self.events, self.size, self.dead_letters, self.dead_size)
        return Level(*counts, failure, len(self._runs), self._runs.forgotten, self.shares.sizes)

    def oldest_received_at(self) -> float | None:
        """When the oldest waiting event came (seconds since the epoch)."""
        row = self._connection.execute("SELECT received_at FROM events ORDER BY sequence LIMIT 1").fetchone()
        return None if row is None else float(row[0])

    def checkpoint(self) -> int:
        """Copies the write-ahead log into the file as far as it can without waiting; gives the bytes still in use."""
        _, pages, copied = self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return 0 if pages == copied else int(pages) * PAGE_BYTES

    def checkpoint_beside(self) -> None:
        """The same on a connection of its own, for another thread while the first one goes on writing."""
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=1.0)) as connection:
            connection.execute("PRAGMA cache_size=-64")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None, timeout=5.0, check_same_thread=False)
        for pragma in (
            f"page_size={PAGE_BYTES}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "wal_autocheckpoint=0",  # the writer decides when, so that no acknowledgement waits for it
            "cache_size=-1024",
            "temp_store=MEMORY",
            # A pod whose volume outgrows its limit is evicted: the file itself has the bound, not a sum of ours.
            f"max_page_count={self._max_pages}",
        ):
            self._connection.execute(f"PRAGMA {pragma}")

    def _is_sound(self) -> bool:
        """Checks the whole file and reads what is counted; a damaged one is found here or raises."""
        if self._connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            return False
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        tables = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version != (_VERSION if tables else 0):
            return False
        self._connection.executescript(
            f"BEGIN IMMEDIATE; {SCHEMA} {runs.SCHEMA} PRAGMA user_version={_VERSION}; COMMIT"
        )
        self.events, size = self._connection.execute("SELECT count(*), total(size) FROM events").fetchone()
        self.size = int(size)
        self._count_dead_letters()
        self._runs.load(self._connection)
        self.shares.load(self._connection)
        highest = [
            self._connection.execute(f"SELECT max(sequence) FROM {table}").fetchone()[0]  # noqa: S608 - our own names
            for table in ("events", "bodies", "delivered", "dead_letters")
        ]
        self._next = max(self._next, 1 + max((number for number in highest if number is not None), default=0))
        return True

    def _begin_again(self) -> Opening:
        following = self._next
        self.close()
        aside = set_aside(self._path, self._wall_clock())
        self._connect()
        self._is_sound()
        recovered = 0
        with self.transaction():
            for sequence, run, body in readable_events(aside):
                # Under its old number: who reads the queue keeps its place in it.
                self._next = sequence
                self.append([Record(run, digest_of(body), body)])
                recovered += 1
            self._next = max(self._next, following)
            self._runs.follow(self._connection, readable_open_runs(aside))
        return Opening(self.events, self.size, aside, recovered)

    def _count_dead_letters(self) -> None:
        count, size = self._connection.execute("SELECT count(*), total(size) FROM dead_letters").fetchone()
        self.dead_letters, self.dead_size = count, int(size)


def _take(rows: sqlite3.Cursor, limit: int, max_bytes: int) -> tuple[list[Queued], bool]:
    """At least one event if there is one, at most `limit`, and no more bytes than that."""
    taken: list[Queued] = []
    total = 0
    try:
        for sequence, run, received_at, size, digest, body in rows:
            total += size
            if len(taken) == limit or (taken and total > max_bytes):
                return taken, True
            intact = isinstance(body, bytes) and digest_of(body) == digest
            taken.append(Queued(sequence, run, received_at, size, digest, body if intact else None))
    finally:
        rows.close()  # a read that is left open would hold back the checkpoint
    return taken, False
