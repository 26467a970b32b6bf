"""What people do with the spool's queue and its dead letters: choose, look, send again, delete.

Reading needs a connection alone; `carry_out` needs the `Spool` itself and is called by whoever holds the folder's lock:
the running relay on its writer's thread (`floe_sidecar.control`), else the command (`floe_sidecar.queue`). Each call
does a bounded part, so that no acknowledgement waits long for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from floe_sidecar.records import Record
from floe_sidecar.redaction import redact
from floe_sidecar.spool import Spool

_PART_EVENTS = 64
_PART_BYTES = 4 * 1024 * 1024
_QUEUE_COLUMNS = "sequence, run, received_at, size, NULL AS died_at, '' AS reason, '' AS detail FROM events"
_DEAD_COLUMNS = "sequence, run, received_at, size, died_at, reason, detail FROM dead_letters"
_READ_DEAD = "SELECT run, digest, body FROM dead_letters WHERE sequence = ?"


class Verb(StrEnum):
    """What changes the spool."""

    REPLAY = "replay"
    PURGE = "purge"


class Selection(msgspec.Struct, frozen=True):
    """Which events are meant: of the queue or the dead letters, narrowed by each condition that is given."""

    queue: bool = False
    sequences: tuple[int, ...] = ()
    run: str = ""
    reason: str = ""


class Order(msgspec.Struct, frozen=True):
    """A part of what to do: the chosen events after one sequence, up to another; `last` 0 stands for what is there.

    `telemetry` means its file instead of lineage's.
    """

    verb: Verb
    selection: Selection
    after: int = 0
    last: int = 0
    telemetry: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """What became of a part. `after` and `last` belong into the next order, if there is `more`."""

    done: int = 0
    skipped: int = 0
    after: int = 0
    last: int = 0
    more: bool = False
    failure: str = ""


class Entry(msgspec.Struct, frozen=True):
    """An event of the queue or a dead letter, without its body; moments in seconds since the epoch."""

    sequence: int
    run: str
    received_at: float
    size: int
    died_at: float | None
    reason: str
    detail: str


def entries(connection: sqlite3.Connection, selection: Selection, *, after: int = 0) -> Iterator[Entry]:
    """The chosen events, oldest first, credentials cut out; no read stays open between two of them."""
    while part := _part(connection, selection, after, 0):
        for entry in part:
            yield msgspec.structs.replace(entry, run=_clean(entry.run), detail=_clean(entry.detail))
        after = part[-1].sequence


def body_of(connection: sqlite3.Connection, sequence: int, *, queue: bool) -> bytes | None:
    """An event's bytes, credentials cut out; None if there are none any more."""
    table = "bodies" if queue else "dead_letters"
    row = connection.execute(f"SELECT body FROM {table} WHERE sequence = ?", (sequence,)).fetchone()  # noqa: S608 - our own names
    return redact(row[0]) if row is not None and isinstance(row[0], bytes) else None


def carry_out(spool: Spool, order: Order) -> Outcome:
    """Does the next part of an order, durably."""
    selection = order.selection
    last = order.last or _last(spool.connection, queue=selection.queue)
    part = _within(_part(spool.connection, selection, order.after, last))
    if not part:
        return Outcome(last=last)
    sequences = [entry.sequence for entry in part]
    skipped = 0
    spool.make_durable(durable=True)
    with spool.room_for_settling(), spool.transaction():
        if order.verb is Verb.REPLAY:
            skipped = _send_again(spool, sequences)
        elif selection.queue:
            spool.settle(sequences, [])
        else:
            spool.delete_dead_letters(sequences)
    return Outcome(len(sequences) - skipped, skipped, sequences[-1], last, more=True)


def _send_again(spool: Spool, sequences: list[int]) -> int:
    """Puts dead letters behind what waits, under their old idempotency key; one without a body stays."""
    moved = []
    for sequence in sequences:
        run, digest, body = spool.connection.execute(_READ_DEAD, (sequence,)).fetchone()
        if isinstance(body, bytes):
            spool.append([Record(run, digest, body)])
            moved.append(sequence)
    spool.delete_dead_letters(moved)
    return len(sequences) - len(moved)


def _part(connection: sqlite3.Connection, selection: Selection, after: int, last: int) -> list[Entry]:
    conditions = ["sequence > ?"]
    parameters: list[object] = [after]
    if last:
        conditions.append("sequence <= ?")
        parameters.append(last)
    if selection.sequences:
        conditions.append(f"sequence IN ({','.join('?' * len(selection.sequences))})")
        parameters += selection.sequences
    if selection.run:
        conditions.append("run = ?")
        parameters.append(selection.run)
    if selection.reason:
        conditions.append("reason = ?")
        parameters.append(selection.reason)
    columns = _QUEUE_COLUMNS if selection.queue else _DEAD_COLUMNS
    where = " AND ".join(conditions)
    query = f"SELECT {columns} WHERE {where} ORDER BY sequence LIMIT {_PART_EVENTS}"
    return [Entry(*row) for row in connection.execute(query, parameters).fetchall()]


def _within(part: list[Entry]) -> list[Entry]:
    """As many as are moved at once, by bytes; at least one."""
    total = 0
    taken: list[Entry] = []
    for entry in part:
        total += entry.size
        if taken and total > _PART_BYTES:
            break
        taken.append(entry)
    return taken


def _last(connection: sqlite3.Connection, *, queue: bool) -> int:
    """The newest event that is there now: what comes while a long order is carried out is not meant by it."""
    table = "events" if queue else "dead_letters"
    row = connection.execute(f"SELECT max(sequence) FROM {table}").fetchone()  # noqa: S608 - our own names
    return int(row[0] or 0)


def _clean(text: str) -> str:
    return redact(text.encode()).decode(errors="replace")
