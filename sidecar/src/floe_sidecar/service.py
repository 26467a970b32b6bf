"""Puts the parts together, and takes them apart in the order in which nothing is lost.

start:  lock the folder, open the spool, listen, deliver
end:    SIGTERM, deliver what waits while still listening, listen no more, answer what has come, close the spool, exit 0
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from floe_sidecar.credentials import ApiKey
from floe_sidecar.delivery import Delivery, Limits
from floe_sidecar.destinations import Backend, Console, Destination
from floe_sidecar.footprint import settle_memory, use_small_threads
from floe_sidecar.health import Health
from floe_sidecar.http import Bounds, Handler, Server
from floe_sidecar.logs import log
from floe_sidecar.metrics import Metrics
from floe_sidecar.receiver import Receiver, fault
from floe_sidecar.retries import Backoff
from floe_sidecar.settings import Settings, Variable
from floe_sidecar.spool import Spool
from floe_sidecar.writer import Writer

_LOCK_NAME = "lock"
_CLOSING_SHARE = 0.15
"""Part of the shutdown time that is kept for answering and closing, at most a second."""


class StartError(Exception):
    """The sidecar cannot start; the message says what to do."""


@dataclass(slots=True)
class _Ports:
    application: Server
    health: Server


async def serve(settings: Settings) -> None:
    """Runs a sidecar until SIGTERM or SIGINT.

    Raises:
        StartError: A port is taken, or another sidecar uses the spool.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    use_small_threads()
    directory = settings.spool_directory or Path(tempfile.mkdtemp(prefix="floe-sidecar-"))
    lock = _lock(directory)
    metrics = Metrics()
    writer = Writer(
        Spool(directory),
        max_bytes=settings.spool_max_bytes,
        duplicate_window_seconds=settings.duplicate_window_seconds,
        on_commit=_counting(metrics),
    )
    destination = _destination(settings)
    delivery = Delivery(writer, destination, _limits(settings), metrics, clock=loop.time)
    receiver = Receiver(
        writer,
        metrics,
        redaction=settings.redaction,
        batch_max_events=settings.batch_max_events,
        clock=loop.time,
    )
    application = _server(settings, receiver.receive, metrics)
    health = Health(
        writer,
        delivery,
        destination,
        metrics,
        application=application,
        spool_directory=str(directory),
        spool_max_bytes=settings.spool_max_bytes,
        wall_clock=time.time,
    )
    ports = _Ports(application, _server(settings, health.receive, metrics))
    await writer.start()
    _count_opening(writer, metrics)
    try:
        await _listen(ports, settings)
    except StartError:
        await writer.stop()
        raise
    delivering = asyncio.create_task(delivery.run())
    log(
        logging.INFO,
        "ready",
        port=ports.application.port,
        health_port=ports.health.port,
        spool=str(directory),
        waiting_events=writer.level.events,
        backend=destination.name,
    )
    settle_memory()
    await stop.wait()
    health.ending = True
    await _end(settings, writer, delivery, delivering, ports)
    _say_goodbye(writer, metrics, directory, temporary=settings.spool_directory is None)
    if lock is not None:
        os.close(lock)


async def _end(
    settings: Settings, writer: Writer, delivery: Delivery, delivering: asyncio.Task[None], ports: _Ports
) -> None:
    reserve = min(1.0, settings.shutdown_seconds * _CLOSING_SHARE)
    log(logging.INFO, "ending", waiting_events=writer.level.events, within_seconds=settings.shutdown_seconds)
    await delivery.drain(within_seconds=settings.shutdown_seconds - reserve)
    await ports.application.close(within_seconds=reserve / 2)
    delivering.cancel()
    await asyncio.gather(delivering, return_exceptions=True)
    await ports.health.close(within_seconds=0)
    await writer.stop()


def _say_goodbye(writer: Writer, metrics: Metrics, directory: Path, *, temporary: bool) -> None:
    level = writer.level
    log(
        logging.WARNING if level.events else logging.INFO,
        "ended",
        unsent_events=level.events,
        unsent_bytes=level.size,
        acked_events=metrics.accepted.total,
        delivered_events=metrics.delivered.total,
        dead_letters=level.dead_letters,
        spool=str(directory),
    )
    if temporary and not level.events and not level.dead_letters:
        shutil.rmtree(directory, ignore_errors=True)


def _lock(directory: Path) -> int | None:
    """Takes the folder for this process alone; the lock goes with the process, however it ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        log(logging.ERROR, "the spool's folder cannot be written", spool=str(directory), reason=str(error))
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StartError(
            f"another sidecar uses the spool in {directory}; give each its own folder with {Variable.SPOOL_DIRECTORY}"
        ) from None
    except OSError as error:  # a file system without locks
        log(logging.WARNING, "the spool's folder cannot be locked", spool=str(directory), reason=str(error))
    return descriptor


async def _listen(ports: _Ports, settings: Settings) -> None:
    for server, host, port, variable in (
        (ports.application, "127.0.0.1", settings.port, Variable.PORT),
        (ports.health, settings.health_host, settings.health_port, Variable.HEALTH_PORT),
    ):
        try:
            await server.listen(host, port)
        except OSError as error:
            raise StartError(
                f"{host}:{port} cannot be listened on ({error.strerror}); give a free port with {variable}"
            ) from None


def _destination(settings: Settings) -> Destination:
    if not settings.lineage_url:
        return Console()
    loop = asyncio.get_running_loop()
    return Backend(settings, ApiKey(settings.lineage_api_key_file, settings.lineage_api_key, clock=loop.time))


def _limits(settings: Settings) -> Limits:
    return Limits(
        concurrency=settings.lineage_concurrency,
        backoff=Backoff(settings.retry_base_seconds, settings.retry_cap_seconds),
        retry_after_cap_seconds=settings.retry_after_cap_seconds,
        poison_attempts=settings.poison_attempts,
    )


def _server(settings: Settings, handler: Handler, metrics: Metrics) -> Server:
    bounds = Bounds(
        body_max_bytes=settings.body_max_bytes,
        header_max_bytes=settings.header_max_bytes,
        inflight_max_bytes=settings.inflight_max_bytes,
        connections_max=settings.connections_max,
        request_timeout_seconds=settings.request_timeout_seconds,
        idle_timeout_seconds=settings.idle_timeout_seconds,
    )
    return Server(handler, bounds, refused=lambda reason: metrics.refused.add(value=reason), fault=fault)


def _counting(metrics: Metrics) -> Callable[[float, int], None]:
    def count(seconds: float, dropped: int) -> None:
        if seconds:
            metrics.commit_seconds.observe(seconds)
        if dropped:
            metrics.dropped.add(dropped, value="dead_letters_full")

    return count


def _count_opening(writer: Writer, metrics: Metrics) -> None:
    if writer.opening is not None and writer.opening.set_aside is not None:
        metrics.corruptions.add()
        metrics.recovered.add(writer.opening.recovered)
