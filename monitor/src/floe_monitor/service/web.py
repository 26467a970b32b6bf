"""The monitor's HTTP: `/healthz` (the process lives), `/readyz` (it can work now, and what it cannot), `/metrics`."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from floe_core.errors import ConfigurationError
from floe_monitor.service.exposition import Exposition
from floe_monitor.service.state import ServiceState

_SHUTDOWN_SECONDS = 2.0


def application(state: ServiceState, exposition: Exposition) -> web.Application:
    """The routes."""
    app = web.Application()
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/readyz", _readyz(state))
    app.router.add_get("/metrics", _metrics(exposition))
    return app


async def _healthz(_request: web.Request) -> web.Response:
    return web.json_response({"alive": True})


def _readyz(state: ServiceState) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def readyz(_request: web.Request) -> web.Response:
        ready, told = state.readiness()
        return web.json_response(told, status=200 if ready else 503)

    return readyz


def _metrics(exposition: Exposition) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def metrics(request: web.Request) -> web.Response:
        # With thousands of contracts this takes a second, in which checks have to begin.
        body, content_type = await asyncio.to_thread(exposition.render, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    return metrics


@asynccontextmanager
async def serving(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serves until the end; yields the port, which is a free one if 0 was asked for.

    Raises:
        ConfigurationError: The port is taken or not allowed.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} on {host} cannot be used: {error.strerror}.", remedy="Choose another with `--port`."
            ) from None
        addresses = runner.addresses
        yield addresses[0][1]
    finally:
        await runner.cleanup()
