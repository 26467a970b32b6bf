"""What the writer's thread is told to do, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from floe_sidecar.records import DeadLetter, Record
from floe_sidecar.spool import Spool


class SpoolFullError(Exception):
    """The events would not fit into the bound; they were not kept."""


class ShareFullError(SpoolFullError):
    """The events would not fit into their source's share; they were not kept."""


class SpoolUnavailableError(Exception):
    """The disk does not take the events now; they were not kept. The message is SQLite's or the system's."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an append: how many events were new and how many were there already."""

    new: int
    duplicates: int


@dataclass(slots=True)
class Append:
    """Keep the records, all of them or none; `fresh` are those that did not come before."""

    records: Sequence[Record]
    future: asyncio.Future[Stored]
    fresh: Sequence[Record] = ()


@dataclass(slots=True)
class Settle:
    """Take events out, delivered ones and dead letters with their digests."""

    delivered: Sequence[int]
    dead: Sequence[tuple[DeadLetter, bytes]]


@dataclass(slots=True)
class Question:
    """Answer a question about the spool."""

    ask: Callable[[Spool], Any]
    future: asyncio.Future[Any]


@dataclass(slots=True)
class Stop:
    """Nothing is ordered after this."""


Order = Append | Settle | Question | Stop


def size_of(order: Order) -> int:
    """Bytes that the order adds at most."""
    return sum(record.size for record in order.records) if isinstance(order, Append) else 0
