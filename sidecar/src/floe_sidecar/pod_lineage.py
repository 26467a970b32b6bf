"""What a sidecar says of its own pod: names for the events of others, and the START of the pod's run.

START is sent once, over all restarts of the sidecar: the spool remembers it. A START that is still waiting when its pod
ends is taken back, since the webhook's leader sends START and end then (docs/pod-runs.md), and a START that came behind
the end would open the run again. So is one of a dead pod in whose spool this one goes on.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from floe_sidecar.ending import tell
from floe_sidecar.enrichment import Enrichment, is_run
from floe_sidecar.events import digest
from floe_sidecar.kinship import Kinship
from floe_sidecar.logs import log
from floe_sidecar.metrics import Clock
from floe_sidecar.orders import Stored
from floe_sidecar.pod_run import BEGUN_AT, moment_of, start
from floe_sidecar.records import Record
from floe_sidecar.runs import PodRun, earlier_runs, pod_run_begun_at, waiting_starts_of_pods
from floe_sidecar.settings import Settings
from floe_sidecar.writer import Writer


class PodLineage:
    """The pod's side of lineage, for a sidecar; a gateway has no pod."""

    def __init__(
        self, settings: Settings, writer: Writer, *, redact: Callable[[bytes], bytes], wall_clock: Clock
    ) -> None:
        self._pod = settings.pod
        self._message_file: Path = settings.termination_message_file
        self._writer = writer
        self._wall_clock = wall_clock
        self._kinship = Kinship()
        self._enrichment = Enrichment(settings.pod, self._kinship, redact=redact)
        self._begun_at: float | None = None

    @property
    def report(self) -> Mapping[str, str]:
        """For the termination message: when the pod's run was begun, if it was."""
        return {} if self._begun_at is None else {BEGUN_AT: moment_of(self._begun_at)}

    def enrich(self, body: bytes, traceparent: str) -> bytes:
        """See `Enrichment.enrich`."""
        return self._enrichment.enrich(body, traceparent)

    async def begin(self) -> None:
        """Recalls what earlier processes of this pod have seen, and begins the pod's run if none of them has."""
        if left_out := self._enrichment.left_out:
            log(logging.WARNING, "facets are too large to be added", facets=left_out)
        run = self._pod.pod_uid.lower()

        def recall(connection: sqlite3.Connection) -> tuple[list[str] | None, float | None]:
            return earlier_runs(connection), pod_run_begun_at(connection, run)

        nothing: tuple[list[str] | None, float | None] | None = None
        recalled = await self._writer.ask(lambda spool: recall(spool.connection), or_else=nothing)
        if recalled is None:  # the spool cannot be read now: it may know of runs, and of the pod's
            self._kinship.remember([])
            return
        earlier, begun_at = recalled
        if earlier is not None:
            self._kinship.remember(earlier)
            await self._take_back(but=run)
        if self._pod.pod_run and is_run(self._pod):
            self._begin_run(run, begun_at)

    async def withdraw(self) -> None:
        """Takes a START back that nobody has taken yet."""
        await self._take_back(but="")

    async def _take_back(self, *, but: str) -> None:
        nothing: list[int] = []
        sequences = await self._writer.ask(
            lambda spool: waiting_starts_of_pods(spool.connection, but=but), or_else=nothing
        )
        if sequences:
            self._writer.settle(sequences)

    def _begin_run(self, run: str, begun_at: float | None) -> None:
        if begun_at is not None:
            self._tell(begun_at)
            return
        at = self._wall_clock()
        body = self.enrich(start(self._pod, at), "")

        def kept(stored: asyncio.Future[Stored]) -> None:
            if not stored.cancelled() and stored.exception() is None:
                self._tell(at)

        self._writer.append([Record(run, digest(body), body, PodRun(at))]).add_done_callback(kept)

    def _tell(self, begun_at: float) -> None:
        self._begun_at = begun_at
        tell(self._message_file, dict(self.report))
