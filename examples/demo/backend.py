"""A lineage backend for the demo; it answers as Marquez does and keeps what it got.

Marquez itself is in no package registry. `POST /api/v1/lineage` answers 201, an event without a job or dataset 400.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Event = dict[str, Any]


class LineageBackend:
    """Events in the order of their arrival."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def receive(self, request: web.Request) -> web.Response:
        """Marquez' answer to one event."""
        event = json.loads(await request.read())
        if not event.get("job") and not event.get("dataset"):
            return web.Response(status=400)
        self.events.append(event)
        return web.Response(status=201)

    def edges(self) -> dict[str, tuple[set[str], set[str]]]:
        """For each job the names of the datasets that it read and wrote."""
        jobs: dict[str, tuple[set[str], set[str]]] = {}
        for event in self.events:
            inputs, outputs = jobs.setdefault(event["job"]["name"], (set(), set()))
            inputs.update(dataset["name"] for dataset in event.get("inputs", []))
            outputs.update(dataset["name"] for dataset in event.get("outputs", []))
        return {job: edges for job, edges in jobs.items() if edges[0] or edges[1]}

    def runs_out_of_order(self) -> list[str]:
        """Runs in which something arrived after their end, or their end before their start."""
        ended: set[str] = set()
        started: set[str] = set()
        wrong: list[str] = []
        for event in self.events:
            run, kind = event["run"]["runId"], event["eventType"]
            if run in ended or (kind in {"COMPLETE", "FAIL", "ABORT"} and run not in started):
                wrong.append(run)
            started.add(run)
            if kind in {"COMPLETE", "FAIL", "ABORT"}:
                ended.add(run)
        return wrong

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[str]:
        """Serves on 127.0.0.1 at a port; yields the origin."""
        app = web.Application(client_max_size=16 * 1024 * 1024)
        app.router.add_post("/api/v1/lineage", self.receive)
        async with _serving(app, port) as origin:
            yield origin


class AlertReceiver:
    """CloudEvents in the order of their arrival."""

    def __init__(self) -> None:
        self.alerts: list[Event] = []

    async def receive(self, request: web.Request) -> web.Response:
        """Takes a structured CloudEvent."""
        self.alerts.append(json.loads(await request.read()))
        return web.Response(status=204)

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[str]:
        """Serves on 127.0.0.1 at a port; yields the URL to post to."""
        app = web.Application()
        app.router.add_post("/alerts", self.receive)
        async with _serving(app, port) as origin:
            yield f"{origin}/alerts"


@asynccontextmanager
async def _serving(app: web.Application, port: int) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
