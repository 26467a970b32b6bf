"""The webhook as a program: starts serving, follows its files, drains on SIGTERM."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from aiohttp import web

from floe_webhook.metrics import Metrics
from floe_webhook.reload import CurrentProfile, ServingCertificate, follow, read_profile
from floe_webhook.server import Webhook

_log = structlog.get_logger(__name__)

_SHUTDOWN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the program is told.

    Attributes:
        port: 0 takes a free one; the log line and `port_file` name it.
        drain_seconds: How long requests are still taken after SIGTERM, until nobody sends any.
        release_namespace: Floe's own namespace, which is never injected.
    """

    manifest: Path
    tls_cert: Path
    tls_key: Path
    host: str
    port: int
    port_file: Path | None
    drain_seconds: float
    release_namespace: str | None


async def serve(arguments: Arguments) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        FloeError: The manifest or a plugin's configuration is wrong.
        OSError: The certificate, the key or the address cannot be used.
    """
    metrics = Metrics()
    read = partial(read_profile, release_namespace=arguments.release_namespace)
    profile = CurrentProfile.start(arguments.manifest, metrics, read)
    certificate = ServingCertificate(arguments.tls_cert, arguments.tls_key, metrics)
    webhook = Webhook(profile, certificate, metrics)
    runner = web.ServerRunner(webhook.server(), shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    # What is loaded now stays; without it a full collection costs microseconds instead of a pause.
    gc.collect()
    gc.freeze()
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopped.set)
    try:
        site = web.TCPSite(runner, arguments.host, arguments.port, ssl_context=certificate.context, backlog=1024)
        await site.start()
        _announce(runner, arguments, profile)
        async with _following(profile, certificate):
            await stopped.wait()
            webhook.draining = True
            _log.info("draining", seconds=arguments.drain_seconds)
            await asyncio.sleep(arguments.drain_seconds)
    finally:
        await runner.cleanup()
    _log.info("stopped")


def _announce(runner: web.ServerRunner, arguments: Arguments, profile: CurrentProfile) -> None:
    port = runner.addresses[0][1]
    if arguments.port_file is not None:
        arguments.port_file.write_text(f"{port}\n", encoding="ascii")
    _log.info("serving", host=arguments.host, port=port, profile=profile.profile.identity)


@contextlib.asynccontextmanager
async def _following(profile: CurrentProfile, certificate: ServingCertificate) -> AsyncIterator[None]:
    # Compiling a manifest takes milliseconds and asks plugins: beside the event loop. A pair must be loaded on it.
    async def refresh_certificate() -> None:
        certificate.refresh()

    tasks = [
        asyncio.create_task(follow(partial(asyncio.to_thread, profile.refresh))),
        asyncio.create_task(follow(refresh_certificate)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
