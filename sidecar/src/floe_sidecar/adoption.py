"""Spools that dead pods left on a volume: taken over by the next pod before it takes anything itself.

    volume/<uid of a dead pod>/   lock free: its events, dead letters and open runs become ours, and the folder goes
    volume/<uid of a living one>/ lock held: left alone
    volume/<our uid>/

Each batch is durable here before it is taken out there, so a kill at any moment leaves it in one spool or in both; what
is in both is known by its digest. A dead pod's events stand before all that this pod will take, in their order.

A spool that does not fit stays whole: were its first part here, somebody else could send the rest before. Of several,
the one with the oldest event comes first: it may have the first part of what its pod was killed while taking over.
"""

from __future__ import annotations

import logging
import math
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from floe_sidecar.control import SOCKET_NAME
from floe_sidecar.locks import LOCK_NAME, FolderInUseError, lock
from floe_sidecar.logs import log
from floe_sidecar.orders import SpoolFullError, SpoolUnavailableError
from floe_sidecar.records import DeadLetter, Record
from floe_sidecar.runs import Begins, waiting_starts_of_pods
from floe_sidecar.salvage import readable_open_runs
from floe_sidecar.spool import FILE_NAME, Spool
from floe_sidecar.writer import Writer

_BATCH_EVENTS = 256
_BATCH_BYTES = 1024 * 1024
_COMPANIONS = ("", "-wal", "-shm")


@dataclass(slots=True)
class Adopted:
    """What was taken over."""

    spools: int = 0
    events: int = 0
    dead_letters: int = 0


async def adopt(volume: Path, own: Path, writers: Mapping[str, Writer]) -> Adopted:
    """Takes over every spool on the volume that nobody uses; what does not fit or cannot be read stays where it is.

    Args:
        volume: Holds a folder for each pod.
        own: This pod's, which is locked already.
        writers: Of the own spools, by their file's name.
    """
    adopted = Adopted()
    with ExitStack() as locked:
        for folder in sorted(_orphans(volume, own, writers, locked), key=_oldest_event):
            try:
                for name, writer in writers.items():
                    if (folder / name).is_file():
                        await _empty(folder, name, writer, adopted)
                        _remove(folder, name)
            except (SpoolFullError, SpoolUnavailableError, sqlite3.Error, OSError) as error:
                reason = str(error) or "it does not fit into this pod's spool"
                log(logging.WARNING, "a dead pod's spool is not taken over now", spool=str(folder), reason=reason)
            else:
                adopted.spools += 1
                _remove_folder(folder)
    if adopted.spools:
        log(
            logging.INFO,
            "spools of dead pods are taken over",
            spools=adopted.spools,
            events=adopted.events,
            dead_letters=adopted.dead_letters,
        )
    return adopted


def _orphans(volume: Path, own: Path, names: Collection[str], locked: ExitStack) -> list[Path]:
    """Folders with a spool that nobody uses, from now on locked by us."""

    def has_a_spool(folder: Path) -> bool:
        return any((folder / name).is_file() for name in names)

    found: list[Path] = []
    with suppress(OSError):
        for folder in volume.iterdir():
            if folder == own or not has_a_spool(folder) or not locked.enter_context(_locked(folder)):
                continue
            # Looked at again: whoever had the lock before may have taken everything.
            if has_a_spool(folder):
                found.append(folder)
    return found


def _oldest_event(folder: Path) -> float:
    """When the first event that waits there came; what has none, or cannot be read, stands last."""
    address = f"file:{quote(str(folder / FILE_NAME))}?mode=rw"  # one that is not there is not made
    try:
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
            row = connection.execute("SELECT received_at FROM events ORDER BY sequence LIMIT 1").fetchone()
    except sqlite3.Error:
        row = None
    return math.inf if row is None else float(row[0])


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    try:
        descriptor = lock(folder)
    except (FolderInUseError, OSError):  # it lives, or it has just been taken over by another pod
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)


async def _empty(folder: Path, name: str, writer: Writer, adopted: Adopted) -> None:
    orphan = Spool(folder, file_name=name)
    try:
        orphan.open()
        # START and end of the dead pod's own run are the leader's to send: this START would open it again.
        with orphan.transaction():
            orphan.settle(waiting_starts_of_pods(orphan.connection), [])
        if not writer.has_room(orphan.size):
            raise SpoolFullError
        while events := orphan.read_after(0, limit=_BATCH_EVENTS, max_bytes=_BATCH_BYTES)[0]:
            records = [
                Record(event.run, event.digest, event.body, received_at=event.received_at)
                for event in events
                if event.body is not None
            ]
            stored = await writer.append(records)
            damaged = [
                DeadLetter(event.sequence, "damaged", "what was stored is not what was received")
                for event in events
                if event.body is None
            ]
            with orphan.transaction():
                orphan.settle([event.sequence for event in events if event.body is not None], damaged)
            adopted.events += stored.new
        adopted.dead_letters += await _move_the_rest(orphan, readable_open_runs(folder / name), writer)
    finally:
        orphan.close()


async def _move_the_rest(orphan: Spool, begun: Sequence[tuple[str, Begins]], writer: Writer) -> int:
    """Dead letters, and which runs are open."""
    letters = orphan.connection.execute(
        "SELECT run, received_at, size, digest, died_at, reason, detail, body FROM dead_letters ORDER BY sequence"
    ).fetchall()
    moved = await writer.ask(lambda spool: spool.take_over(letters, begun), or_else=None)
    if moved is None:
        raise SpoolUnavailableError("the spool's disk takes nothing now")
    return moved


def _remove(folder: Path, name: str) -> None:
    for companion in _COMPANIONS:
        (folder / (name + companion)).unlink(missing_ok=True)


def _remove_folder(folder: Path) -> None:
    """Takes the folder away; a damaged file that was set aside in it stays, and the folder with it."""
    with suppress(OSError):
        for name in (SOCKET_NAME, LOCK_NAME):
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
