"""Which runs are open, and the event that closes one when the pod ends.

A run cycle without a terminal event stays open for ever in every backend, and a killed process sends none. The rule:

| what came through this relay | at the pod's end |
|---|---|
| START, then nothing, RUNNING or OTHER | ABORT |
| COMPLETE, FAIL or ABORT, in whatever order | nothing |
| only RUNNING or OTHER: another pod began the run | nothing |
| START of a job whose `jobType` says STREAMING or SERVICE | nothing: such runs need no end (OpenLineage, run cycle) |

Open runs are rows of the spool, written in the transaction that makes their events durable, and deleted in the one
that takes their ABORT: however often the pod's end is tried, a run gets one ABORT. Its bytes follow from the row alone.

The pod's own run (`floe_sidecar.pod_run`) is none of them, since the webhook's leader ends it; its row says that it has
begun, and when.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from floe_sidecar.statements import SIZES, chunks

PRODUCER = "https://floe.dev/sidecar"
MOST_FOLLOWED = 4096
"""Open runs that are followed at most: a MiB. One more, and the oldest is left open."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS open_runs (
    number INTEGER PRIMARY KEY, run TEXT NOT NULL, run_id TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    begun_at REAL NOT NULL, ended_at REAL
);
CREATE TABLE IF NOT EXISTS pod_runs (run TEXT PRIMARY KEY, begun_at REAL NOT NULL) WITHOUT ROWID;
"""

_LONGEST = 1024
_MOST_ENDED = 1024
_LAST_MOMENT = 253_402_300_000.0
_AFTER_START_SECONDS = 0.001
_TERMINAL = frozenset({"COMPLETE", "FAIL", "ABORT"})
_ENDLESS = frozenset({"STREAMING", "SERVICE"})
EVENT_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACET_SCHEMA = "https://floe.dev/spec/facets/1-0-0/RunClosureRunFacet.json#/$defs/RunClosureRunFacet"


class Role(StrEnum):
    """What an event says about its run's beginning and end."""

    BEGINS = "begins"
    ENDS = "ends"


class Begins(msgspec.Struct, frozen=True):
    """A START: what its ABORT will have to name; `at` in seconds since the epoch, 0 if it is not told."""

    run_id: str
    namespace: str
    name: str
    at: float


class Ends(msgspec.Struct, frozen=True):
    """The run needs no end from us any more."""


class PodRun(msgspec.Struct, frozen=True):
    """The START of the pod's own run; `at` in seconds since the epoch."""

    at: float


Sign = Begins | Ends | PodRun
ENDS = Ends()


class OpenRun(msgspec.Struct, frozen=True):
    """A run without an end; `run` is what its events are ordered by, `ended_at` when the pod's end was first told."""

    run: str
    run_id: str
    namespace: str
    name: str
    begun_at: float
    ended_at: float


def role(event_type: object, processing_type: object) -> Role | None:
    """The role of an event by its type and the processing type of its job's facet."""
    if _word(processing_type) in _ENDLESS or _word(event_type) in _TERMINAL:
        return Role.ENDS
    return Role.BEGINS if _word(event_type) == "START" else None


def sign(role: Role | None, run_id: object, job: tuple[object, object], event_time: object) -> Sign | None:
    """What is followed of an event; a run or a job without proper names cannot be closed, and is not followed."""
    if role is not Role.BEGINS:
        return ENDS if role is Role.ENDS else None
    namespace, name = job
    if not (isinstance(run_id, str) and isinstance(namespace, str) and isinstance(name, str)):
        return None
    if len(run_id) + len(namespace) + len(name) > _LONGEST:
        return None
    return Begins(run_id, namespace, name, _seconds(event_time))


def abort(run: OpenRun) -> bytes:
    """The event that closes the run: at the pod's end, and never before its START."""
    moment = min(max(run.ended_at, run.begun_at + _AFTER_START_SECONDS), _LAST_MOMENT)
    document = {
        "eventTime": dt.datetime.fromtimestamp(moment, dt.UTC).isoformat(timespec="milliseconds"),
        "eventType": "ABORT",
        "producer": PRODUCER,
        "schemaURL": EVENT_SCHEMA,
        "run": {
            "runId": run.run_id,
            "facets": {
                "floe_runClosure": {
                    "_producer": PRODUCER,
                    "_schemaURL": _FACET_SCHEMA,
                    "closedBy": "floe-sidecar",
                    "reason": "POD_ENDED",
                    "message": "The pod ended after START and without COMPLETE, FAIL or ABORT; the relay closed the "
                    "run. Whether its work was done is not known.",
                }
            },
        },
        "job": {"namespace": run.namespace, "name": run.name},
        "inputs": [],
        "outputs": [],
    }
    return msgspec.json.encode(document)


class _Change(msgspec.Struct):
    begun: dict[str, Begins] = msgspec.field(default_factory=dict)
    ended: dict[str, None] = msgspec.field(default_factory=dict)
    forgotten: list[str] = msgspec.field(default_factory=list)
    of_pods: list[tuple[str, float]] = msgspec.field(default_factory=list)


class OpenRuns:
    """The open runs of one spool: rows in its file, and their numbers by run in memory, both bounded.

    New rows stand at the table's end and are deleted by number, so that a group of events touches a page or two.
    `follow` works inside the spool's transaction; `confirm` or `undo` says what became of that.
    """

    def __init__(self, limit: int = MOST_FOLLOWED) -> None:
        self.forgotten = 0
        self._limit = limit
        self._open: dict[str, int] = {}
        self._ended: dict[str, None] = {}
        self._next = 1
        self._change = _Change()

    def __len__(self) -> int:
        return len(self._open)

    def load(self, connection: sqlite3.Connection) -> None:
        """Reads what an earlier process followed."""
        self._open = dict(connection.execute("SELECT run, number FROM open_runs ORDER BY number"))
        self._next = 1 + max(self._open.values(), default=0)

    def follow(self, connection: sqlite3.Connection, signs: Iterable[tuple[str, Sign]]) -> None:
        """Takes over what events said, in their order, by run."""
        change = self._change = self._read(signs)
        numbers = [self._open[run] for run in (*change.ended, *change.forgotten) if run in self._open]
        for chunk in chunks(len(numbers)):
            connection.execute(_DELETE[len(chunk)], numbers[chunk.start : chunk.stop])
        rows = list(enumerate(change.begun.items(), self._next))
        for chunk in chunks(len(rows)):
            values: list[object] = []
            for number, (run, begins) in rows[chunk.start : chunk.stop]:
                values += [number, run, begins.run_id, begins.namespace, begins.name, begins.at]
            connection.execute(_INSERT[len(chunk)], values)
        for row in change.of_pods:
            connection.execute("INSERT OR IGNORE INTO pod_runs VALUES (?, ?)", row)

    def confirm(self) -> None:
        """The transaction was committed."""
        change, self._change = self._change, _Change()
        for run in change.ended:
            self._open.pop(run, None)
            self._ended[run] = None
        for run in change.forgotten:
            del self._open[run]
        self.forgotten += len(change.forgotten)
        for run in change.begun:
            self._open[run] = self._next
            self._next += 1
        while len(self._ended) > _MOST_ENDED:
            del self._ended[next(iter(self._ended))]

    def undo(self) -> None:
        """The transaction was rolled back."""
        self._change = _Change()

    def _read(self, signs: Iterable[tuple[str, Sign]]) -> _Change:
        change = _Change()
        for run, said in signs:
            if isinstance(said, PodRun):
                change.of_pods.append((run, said.at))
            elif isinstance(said, Ends):
                change.begun.pop(run, None)
                change.ended[run] = None
            elif not (run in self._open or run in self._ended or run in change.ended):
                change.begun.setdefault(run, said)
        staying = [run for run in self._open if run not in change.ended] if self._is_crowded(change) else []
        surplus = max(0, len(staying) + len(change.begun) - self._limit) if staying else 0
        change.forgotten = staying[:surplus]
        return change

    def _is_crowded(self, change: _Change) -> bool:
        return len(self._open) + len(change.begun) > self._limit


_COLUMNS = "(number, run, run_id, namespace, name, begun_at)"
_DELETE = {rows: f"DELETE FROM open_runs WHERE number IN ({','.join('?' * rows)})" for rows in SIZES}  # noqa: S608 - question marks only
_INSERT = {rows: f"INSERT INTO open_runs {_COLUMNS} VALUES {','.join(['(?,?,?,?,?,?)'] * rows)}" for rows in SIZES}  # noqa: S608 - as above


def end_all(connection: sqlite3.Connection, now: float) -> list[OpenRun]:
    """Every open run, oldest first, each with the moment at which its end was first told: now, or earlier."""
    connection.execute("UPDATE open_runs SET ended_at = ? WHERE ended_at IS NULL", (now,))
    rows = connection.execute(
        "SELECT run, run_id, namespace, name, begun_at, ended_at FROM open_runs ORDER BY number"
    ).fetchall()
    return [OpenRun(*row) for row in rows]


def pod_run_begun_at(connection: sqlite3.Connection, run: str) -> float | None:
    """When the pod's own run was begun, by this process or an earlier one (seconds since the epoch)."""
    row = connection.execute("SELECT begun_at FROM pod_runs WHERE run = ?", (run,)).fetchone()
    return None if row is None else float(row[0])


def earlier_runs(connection: sqlite3.Connection) -> list[str] | None:
    """The open runs of earlier processes, oldest first; None if there was none that took an event."""
    used = "SELECT EXISTS (SELECT 1 FROM %s)"
    if any(connection.execute(used % table).fetchone()[0] for table in ("events", "delivered", "dead_letters")):
        return [run for (run,) in connection.execute("SELECT run FROM open_runs ORDER BY number")]
    return None


def waiting_starts_of_pods(connection: sqlite3.Connection, *, but: str = "") -> list[int]:
    """The sequences of the STARTs of pods' own runs that nobody has taken yet, but for one run's.

    The application may say something of that run, too: only what the sidecar has said is meant.
    """
    rows = connection.execute(
        "SELECT e.sequence, b.body FROM events e JOIN bodies b USING (sequence) "
        "WHERE e.run IN (SELECT run FROM pod_runs) AND e.run != ?",
        (but,),
    )
    return [sequence for sequence, body in rows if _is_start_of_ours(body)]


def _is_start_of_ours(body: object) -> bool:
    try:
        event = msgspec.json.decode(body, type=dict[str, object]) if isinstance(body, bytes) else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return event.get("producer") == PRODUCER and event.get("eventType") == "START"


def _word(value: object) -> str:
    return value.upper() if isinstance(value, str) else ""


def _seconds(event_time: object) -> float:
    if isinstance(event_time, str):
        try:
            event_time = dt.datetime.fromisoformat(event_time)
        except ValueError:
            return 0.0
    if not isinstance(event_time, dt.datetime):
        return 0.0
    if event_time.tzinfo is None:
        event_time = event_time.replace(tzinfo=dt.UTC)
    return min(max(event_time.timestamp(), 0.0), _LAST_MOMENT)
