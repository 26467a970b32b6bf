"""Puts the parts together, and takes them apart in the order in which nothing is lost.

start:  lock the folder, open the spool, listen, deliver
end:    SIGTERM, deliver or hand over what waits while still listening, listen no more, answer what has come, close the
        open runs, close the spool, say what is left, exit 0

A gateway's pod ends while others go on: it listens no more at once, and what it cannot deliver stays on its volume.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from floe_sidecar.assembly import (
    StartError,
    application,
    count_opening,
    destination,
    handover,
    limits,
    metrics_export,
    redactor,
    server,
    telemetry,
)
from floe_sidecar.control import Control
from floe_sidecar.delivery import Delivery
from floe_sidecar.destinations import batches_of
from floe_sidecar.ending import Ending, tell
from floe_sidecar.events import digest
from floe_sidecar.footprint import give_large_blocks_back, settle_memory, use_small_threads
from floe_sidecar.health import Health
from floe_sidecar.http import Server
from floe_sidecar.locks import FolderInUseError, lock
from floe_sidecar.logs import log
from floe_sidecar.metrics import Metrics
from floe_sidecar.orders import SpoolFullError, SpoolUnavailableError
from floe_sidecar.pipeline import Pipeline
from floe_sidecar.pod_lineage import PodLineage
from floe_sidecar.records import Record
from floe_sidecar.runs import ENDS, OpenRun, abort
from floe_sidecar.settings import Role, Settings, Variable
from floe_sidecar.spool import FILE_NAME, TELEMETRY_FILE_NAME, Spool
from floe_sidecar.volumes import VolumeError, refuse_network, spool_folder
from floe_sidecar.writer import Writer

if TYPE_CHECKING:
    from floe_sidecar.upkeep import Order, Outcome

_RUNS_AT_ONCE = 256
_CLOSING_SHARE = 0.15
"""Part of the shutdown time that is kept for answering and closing, at most a second."""


class Sidecar:
    """One relay: a spool, a port for the application, a port for people, and a road to the backend."""

    def __init__(self, settings: Settings) -> None:
        clock = asyncio.get_running_loop().time
        self.settings = settings
        self.directory = _folder(settings)
        self.metrics = Metrics()
        is_gateway = settings.role is Role.GATEWAY
        share = settings.namespace_max_bytes if is_gateway else None
        self.writer = Writer(
            Spool(self.directory, max_bytes=settings.spool_max_bytes, share_max_bytes=share),
            max_bytes=settings.spool_max_bytes,
            duplicate_window_seconds=settings.duplicate_window_seconds,
            on_commit=self._count_commit,
            on_opening=lambda opening: count_opening(self.metrics, opening),
        )
        self.destination = destination(settings)
        self.delivery = Delivery(
            self.writer,
            self.destination,
            limits(settings),
            self.metrics,
            batch_destination=batches_of(self.destination),
            clock=clock,
        )
        self._handover = handover(settings, self.writer, self.metrics)
        patience = settings.gateway_after_seconds
        self._ending = Ending(self.delivery, self._handover, patience_seconds=patience, clock=clock)
        # A pod that has no sidecar may go on when the gateway ends.
        self._closes_runs = settings.abort_open_runs and not is_gateway
        self.telemetry = telemetry(settings, self.directory, self.metrics)
        redact = redactor(settings)
        self._pod = None if is_gateway else PodLineage(settings, self.writer, redact=redact, wall_clock=time.time)
        self._pipeline = Pipeline()
        self.metrics.more = () if is_gateway else self._pipeline.metrics
        self.application = application(
            settings,
            self.writer,
            self.metrics,
            self.telemetry,
            redact=redact,
            follow_runs=self._closes_runs,
            enrich=self._pod.enrich if self._pod is not None else None,
            saw=self._pipeline.saw if self._pod is not None else None,
        )
        health = Health(
            self.writer,
            self.delivery,
            self.destination,
            self.metrics,
            telemetry=self.telemetry,
            application=self.application,
            spool_directory=str(self.directory),
            spool_max_bytes=settings.spool_max_bytes,
            wall_clock=time.time,
        )
        self._health = health
        self.health = server(settings, self.metrics, health.receive)
        self._control = Control(
            self.writer,
            self.telemetry.writer if self.telemetry is not None else None,
            self.directory,
            changed=self._changed_by_hand,
        )
        self._metrics_export = None if is_gateway else metrics_export(settings, self.metrics)
        self._lock: int | None = None

    async def start(self) -> None:
        """Returns when events are taken.

        Raises:
            StartError: A port is taken, or another sidecar uses the spool.
        """
        self._lock = _lock(self.directory)
        await self.writer.start()
        if self.telemetry is not None:
            await self.telemetry.start()
        if self._pod is not None:
            await self._pod.begin()  # what dead pods left is no run of this one's
        await self._adopt()
        try:
            await _listen(self.application, self.settings.host, self.settings.port, Variable.PORT)
            await _listen(self.health, self.settings.health_host, self.settings.health_port, Variable.HEALTH_PORT)
        except StartError:
            await self._close(answering_seconds=0.0)
            raise
        self.delivery.start()
        if self._metrics_export is not None:
            self._metrics_export.start()
        if self._lock is not None:
            await self._control.listen()
        log(
            logging.INFO,
            "ready",
            role=self.settings.role,
            port=self.application.port,
            health_port=self.health.port,
            spool=str(self.directory),
            waiting_events=self.writer.level.events,
            backend=self.destination.name,
        )

    async def _adopt(self) -> None:
        """Takes over what dead pods left, before anything of the application's can stand in front of it."""
        settings = self.settings
        if settings.spool_directory is None or not settings.spool_per_pod:
            return
        from floe_sidecar.adoption import adopt  # noqa: PLC0415 - few pods have a volume that outlives them

        writers = {FILE_NAME: self.writer}
        if self.telemetry is not None:
            writers[TELEMETRY_FILE_NAME] = self.telemetry.writer
        self.metrics.adopted.add((await adopt(settings.spool_directory, self.directory, writers)).events)

    async def stop(self) -> None:
        """Delivers what waits as far as the time allows, and closes; what is left stays in the spool and is told."""
        settings = self.settings
        self._health.ending = True
        reserve = min(1.0, settings.shutdown_seconds * _CLOSING_SHARE)
        log(logging.INFO, "ending", waiting_events=self.writer.level.events, within_seconds=settings.shutdown_seconds)
        if settings.role is Role.GATEWAY:
            await self.application.close(within_seconds=reserve / 2)
            within = settings.shutdown_seconds - reserve
            await self.delivery.drain(within_seconds=within, patience_seconds=settings.gateway_after_seconds)
        else:
            await self._end_sidecar(time.monotonic() + settings.shutdown_seconds, reserve)
        await self._close(answering_seconds=0.0)
        self._say_goodbye()

    async def _end_sidecar(self, deadline: float, reserve: float) -> None:
        if self._pod is not None:
            await self._pod.withdraw()
        within = deadline - time.monotonic() - reserve
        async with asyncio.TaskGroup() as both:
            both.create_task(self._ending.empty(within_seconds=within))
            both.create_task(self._drain_telemetry(within))
        # A native sidecar is terminated last (KEP-753): nothing can come any more that would end a run by itself.
        await self.application.close(within_seconds=reserve / 2)
        closed = await self._close_open_runs() if self._closes_runs else 0
        async with asyncio.TaskGroup() as both:
            both.create_task(self._drain_telemetry(reserve / 2))
            if self._metrics_export is not None:  # the last run is counted now, and nobody scrapes a pod that ends
                both.create_task(self._metrics_export.end())
        if closed or self.writer.level.events:  # what came while the rest was handed over
            await self._ending.empty(within_seconds=max(reserve / 2, deadline - time.monotonic()))

    async def _drain_telemetry(self, within_seconds: float) -> None:
        if self.telemetry is not None:
            patience = self.settings.gateway_after_seconds
            await self.telemetry.drain(within_seconds=within_seconds, patience_seconds=patience)

    def _say_goodbye(self) -> None:
        settings, level = self.settings, self.writer.level
        numbers = {
            "acked_events": self.metrics.accepted.total,
            "delivered_events": self.metrics.delivered.total,
            "handed_over_events": self.metrics.handed_over.total,
            "unsent_events": level.events,
            "unsent_bytes": level.size,
            "dead_letters": level.dead_letters,
        }
        if self.telemetry is not None:
            numbers["unsent_telemetry_requests"] = self.telemetry.writer.level.events
        log(
            logging.WARNING if level.events or numbers.get("unsent_telemetry_requests") else logging.INFO,
            "ended",
            **numbers,
            spool=str(self.directory),
        )
        failure = self._handover.failure if self._handover is not None else ""
        begun = self._pod.report if self._pod is not None else {}
        message = {**numbers, **begun, **({"gateway_failure": failure} if failure else {})}
        tell(settings.termination_message_file, message)
        if settings.spool_directory is None and not level.events and not level.dead_letters:
            shutil.rmtree(self.directory, ignore_errors=True)

    async def _close_open_runs(self) -> int:
        """Puts an ABORT for each open run behind what waits; says how many."""
        nothing: list[OpenRun] = []
        runs = await self.writer.ask(lambda spool: spool.end_runs(), or_else=nothing)
        closed = 0
        try:
            for start in range(0, len(runs), _RUNS_AT_ONCE):
                bodies = [(run.run, abort(run)) for run in runs[start : start + _RUNS_AT_ONCE]]
                records = [Record(key, digest(body), body, ENDS) for key, body in bodies]
                closed += (await self.writer.append(records)).new
                self._pipeline.closed(runs[start : start + _RUNS_AT_ONCE])
        except (SpoolFullError, SpoolUnavailableError) as error:
            log(logging.ERROR, "open runs could not be closed", runs=len(runs) - closed, reason=str(error))
        self.metrics.runs_closed.add(closed)
        if closed:
            log(logging.INFO, "open runs are closed", runs=closed)
        return closed

    async def _close(self, *, answering_seconds: float) -> None:
        await self.application.close(within_seconds=answering_seconds)
        await self.delivery.stop()
        if self._handover is not None:
            self._handover.close()
        await self.health.close(within_seconds=0.0)
        await self._control.close()
        await self.writer.stop()
        if self.telemetry is not None:
            await self.telemetry.stop()
        if self._lock is not None:
            os.close(self._lock)

    def _count_commit(self, seconds: float, dropped: int) -> None:
        if seconds:
            self.metrics.commit_seconds.observe(seconds)
        if dropped:
            self.metrics.dropped.add(dropped, value="dead_letters_full")

    def _changed_by_hand(self, order: Order, outcome: Outcome) -> None:
        writer, dropped = self.writer, self.metrics.dropped
        if order.telemetry and self.telemetry is not None:
            writer, dropped = self.telemetry.writer, self.metrics.telemetry.dropped
        if order.verb == "purge":
            dropped.add(outcome.done, value="purged")
        writer.announce()


async def serve(settings: Settings) -> None:
    """Runs a sidecar until SIGTERM or SIGINT.

    Raises:
        StartError: It cannot start.
    """
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    use_small_threads()
    give_large_blocks_back()
    sidecar = Sidecar(settings)
    await sidecar.start()
    settle_memory()
    await signalled.wait()
    await sidecar.stop()


def _folder(settings: Settings) -> Path:
    try:
        return spool_folder(settings) or Path(tempfile.mkdtemp(prefix="floe-sidecar-"))
    except VolumeError as error:
        raise StartError(str(error)) from None


def _lock(directory: Path) -> int | None:
    """Takes the folder for this process alone; one that cannot be locked now is used without."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        refuse_network(directory)
        return lock(directory)
    except VolumeError as error:
        raise StartError(str(error)) from None
    except FolderInUseError:
        raise StartError(
            f"another sidecar uses the spool in {directory}; give each its own folder with {Variable.SPOOL_DIRECTORY}"
        ) from None
    except OSError as error:  # it cannot be written, or its file system has no locks
        log(logging.ERROR, "the spool's folder cannot be locked", spool=str(directory), reason=str(error))
        return None


async def _listen(server: Server, host: str, port: int, variable: Variable) -> None:
    try:
        await server.listen(host, port)
    except OSError as error:
        raise StartError(
            f"{host}:{port} cannot be listened on ({error.strerror}); give a free port with {variable}"
        ) from None
