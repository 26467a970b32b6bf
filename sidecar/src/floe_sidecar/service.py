"""Puts the parts together, and takes them apart in the order in which nothing is lost.

start:  lock the folder, open the spool, listen, deliver
end:    SIGTERM, deliver what waits while still listening, listen no more, answer what has come, close the open runs,
        close the spool, exit 0
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

from floe_sidecar.control import Control
from floe_sidecar.credentials import ApiKey
from floe_sidecar.delivery import Delivery, Limits
from floe_sidecar.destinations import Backend, Console, Destination
from floe_sidecar.events import digest
from floe_sidecar.footprint import give_large_blocks_back, settle_memory, use_small_threads
from floe_sidecar.health import Health
from floe_sidecar.http import Bounds, Handler, Server
from floe_sidecar.locks import FolderInUseError, lock
from floe_sidecar.logs import log
from floe_sidecar.metrics import Metrics
from floe_sidecar.orders import SpoolFullError, SpoolUnavailableError
from floe_sidecar.receiver import Receiver, fault
from floe_sidecar.records import Opening, Record
from floe_sidecar.retries import Backoff
from floe_sidecar.runs import ENDS, OpenRun, abort
from floe_sidecar.settings import Settings, Variable
from floe_sidecar.spool import Spool
from floe_sidecar.writer import Writer

if TYPE_CHECKING:
    from floe_sidecar.upkeep import Order, Outcome

_RUNS_AT_ONCE = 256
_CLOSING_SHARE = 0.15
"""Part of the shutdown time that is kept for answering and closing, at most a second."""


class StartError(Exception):
    """The sidecar cannot start; the message says what to do."""


class Sidecar:
    """One relay: a spool, a port for the application, a port for people, and a road to the backend."""

    def __init__(self, settings: Settings) -> None:
        clock = asyncio.get_running_loop().time
        self.settings = settings
        self.directory = settings.spool_directory or Path(tempfile.mkdtemp(prefix="floe-sidecar-"))
        self.metrics = Metrics()
        self.writer = Writer(
            Spool(self.directory, max_bytes=settings.spool_max_bytes),
            max_bytes=settings.spool_max_bytes,
            duplicate_window_seconds=settings.duplicate_window_seconds,
            on_commit=self._count_commit,
            on_opening=self._count_opening,
        )
        self.destination = _destination(settings)
        self.delivery = Delivery(self.writer, self.destination, _limits(settings), self.metrics, clock=clock)
        receiver = Receiver(
            self.writer,
            self.metrics,
            redaction=settings.redaction,
            follow_runs=settings.abort_open_runs,
            batch_max_events=settings.batch_max_events,
            clock=clock,
        )
        self.application = self._server(receiver.receive)
        health = Health(
            self.writer,
            self.delivery,
            self.destination,
            self.metrics,
            application=self.application,
            spool_directory=str(self.directory),
            spool_max_bytes=settings.spool_max_bytes,
            wall_clock=time.time,
        )
        self._health = health
        self.health = self._server(health.receive)
        self._control = Control(self.writer, self.directory, changed=self._changed_by_hand)
        self._lock: int | None = None
        self._delivering: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when events are taken.

        Raises:
            StartError: A port is taken, or another sidecar uses the spool.
        """
        self._lock = _lock(self.directory)
        await self.writer.start()
        try:
            await _listen(self.application, "127.0.0.1", self.settings.port, Variable.PORT)
            await _listen(self.health, self.settings.health_host, self.settings.health_port, Variable.HEALTH_PORT)
        except StartError:
            await self._close(answering_seconds=0.0)
            raise
        self._delivering = asyncio.create_task(self.delivery.run())
        if self._lock is not None:
            await self._control.listen()
        log(
            logging.INFO,
            "ready",
            port=self.application.port,
            health_port=self.health.port,
            spool=str(self.directory),
            waiting_events=self.writer.level.events,
            backend=self.destination.name,
        )

    async def stop(self) -> None:
        """Delivers what waits as far as the time allows, and closes; what is left stays in the spool and is told."""
        settings = self.settings
        self._health.ending = True
        reserve = min(1.0, settings.shutdown_seconds * _CLOSING_SHARE)
        log(logging.INFO, "ending", waiting_events=self.writer.level.events, within_seconds=settings.shutdown_seconds)
        deadline = time.monotonic() + settings.shutdown_seconds
        await self.delivery.drain(within_seconds=settings.shutdown_seconds - reserve)
        # A native sidecar is terminated last (KEP-753): nothing can come any more that would end a run by itself.
        await self.application.close(within_seconds=reserve / 2)
        if settings.abort_open_runs and await self._close_open_runs():
            await self.delivery.drain(within_seconds=max(reserve / 2, deadline - time.monotonic()))
        await self._close(answering_seconds=0.0)
        level = self.writer.level
        log(
            logging.WARNING if level.events else logging.INFO,
            "ended",
            unsent_events=level.events,
            unsent_bytes=level.size,
            acked_events=self.metrics.accepted.total,
            delivered_events=self.metrics.delivered.total,
            dead_letters=level.dead_letters,
            spool=str(self.directory),
        )
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
        except (SpoolFullError, SpoolUnavailableError) as error:
            log(logging.ERROR, "open runs could not be closed", runs=len(runs) - closed, reason=str(error))
        self.metrics.runs_closed.add(closed)
        if closed:
            log(logging.INFO, "open runs are closed", runs=closed)
        return closed

    async def _close(self, *, answering_seconds: float) -> None:
        await self.application.close(within_seconds=answering_seconds)
        if self._delivering is not None:
            self._delivering.cancel()
            await asyncio.gather(self._delivering, return_exceptions=True)
        await self.health.close(within_seconds=0.0)
        await self._control.close()
        await self.writer.stop()
        if self._lock is not None:
            os.close(self._lock)

    def _server(self, handler: Handler) -> Server:
        settings = self.settings
        bounds = Bounds(
            body_max_bytes=settings.body_max_bytes,
            header_max_bytes=settings.header_max_bytes,
            inflight_max_bytes=settings.inflight_max_bytes,
            connections_max=settings.connections_max,
            request_timeout_seconds=settings.request_timeout_seconds,
            idle_timeout_seconds=settings.idle_timeout_seconds,
        )
        return Server(handler, bounds, refused=lambda reason: self.metrics.refused.add(value=reason), fault=fault)

    def _count_commit(self, seconds: float, dropped: int) -> None:
        if seconds:
            self.metrics.commit_seconds.observe(seconds)
        if dropped:
            self.metrics.dropped.add(dropped, value="dead_letters_full")

    def _changed_by_hand(self, order: Order, outcome: Outcome) -> None:
        if order.verb == "purge":
            self.metrics.dropped.add(outcome.done, value="purged")
        self.writer.announce()

    def _count_opening(self, opening: Opening) -> None:
        if opening.set_aside is not None:
            self.metrics.corruptions.add()
            self.metrics.recovered.add(opening.recovered)


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


def _lock(directory: Path) -> int | None:
    """Takes the folder for this process alone; one that cannot be locked now is used without."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return lock(directory)
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


def _destination(settings: Settings) -> Destination:
    if not settings.lineage_url:
        return Console()
    clock = asyncio.get_running_loop().time
    try:
        return Backend(settings, ApiKey(settings.lineage_api_key_file, settings.lineage_api_key, clock=clock))
    except OSError as error:  # ssl's errors are among them
        raise StartError(
            f"{settings.lineage_ca_file} cannot be read as PEM certificates ({error.strerror or error}); "
            f"give the authorities' file with {Variable.LINEAGE_CA_FILE}"
        ) from None


def _limits(settings: Settings) -> Limits:
    return Limits(
        concurrency=settings.lineage_concurrency,
        backoff=Backoff(settings.retry_base_seconds, settings.retry_cap_seconds),
        retry_after_cap_seconds=settings.retry_after_cap_seconds,
        poison_attempts=settings.poison_attempts,
    )
