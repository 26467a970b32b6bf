"""What the spool keeps and gives, as values: events before and after, dead letters, and how full it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from floe_sidecar import runs

OVERHEAD_BYTES = 160
"""What an event costs on disk beside its body and its run: row headers, digest, its place in a page."""


@dataclass(frozen=True, slots=True)
class Record:
    """An event to be kept: `run` is what it is ordered by, `body` what is sent later, byte for byte.

    `sign` is what it says about the run's beginning or end, if open runs are followed; `received_at` when another
    relay took it, if one did (seconds since the epoch).
    """

    run: str
    digest: bytes
    body: bytes
    sign: runs.Sign | None = None
    received_at: float | None = None

    @property
    def size(self) -> int:
        """Bytes that it counts for against the spool's bound."""
        return len(self.body) + len(self.run) + OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Queued:
    """An event that waits; `body` is None if it can no longer be read as it was written."""

    sequence: int
    run: str
    received_at: float
    size: int
    digest: bytes
    body: bytes | None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why the event `sequence` will not be sent again."""

    sequence: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Level:
    """How full the spool is, as of the last commit; `failure` says why it takes nothing, if it does not."""

    events: int = 0
    size: int = 0
    dead_letters: int = 0
    dead_size: int = 0
    failure: str = ""
    open_runs: int = 0
    forgotten_runs: int = 0
    sources: Mapping[str, int] = field(default_factory=dict)
    """Bytes that wait by source, in a gateway."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What was found when the spool was opened."""

    events: int
    size: int
    set_aside: Path | None
    recovered: int
