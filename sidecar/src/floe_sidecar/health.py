"""What people and Kubernetes ask: `/healthz` (it lives), `/readyz` (it can do its work), `/metrics`, `/status`.

Trouble with the backend never makes the sidecar unready: taking events and keeping them is its work, and goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from floe_sidecar.delivery import Delivery
from floe_sidecar.destinations import Destination
from floe_sidecar.http import Respond, Server
from floe_sidecar.messages import Request, Response
from floe_sidecar.metrics import Clock, Metrics
from floe_sidecar.receiver import fault
from floe_sidecar.records import Level
from floe_sidecar.writer import Writer

if TYPE_CHECKING:
    from floe_sidecar.telemetry import TelemetryRelay

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NEARLY_FULL = 0.9


class Health:
    """Answers on the health port."""

    def __init__(
        self,
        writer: Writer,
        delivery: Delivery,
        destination: Destination,
        metrics: Metrics,
        *,
        telemetry: TelemetryRelay | None,
        application: Server,
        spool_directory: str,
        spool_max_bytes: int,
        wall_clock: Clock,
    ) -> None:
        self._writer = writer
        self._delivery = delivery
        self._destination = destination
        self._metrics = metrics
        self._telemetry = telemetry
        self._application = application
        self._spool_directory = spool_directory
        self._spool_max_bytes = spool_max_bytes
        self._wall_clock = wall_clock
        self._started_at = wall_clock()
        self._answering: set[asyncio.Task[None]] = set()
        self.ending = False

    def receive(self, request: Request, respond: Respond) -> None:
        """Answers one request."""
        if request.method not in {"GET", "HEAD"}:
            respond(Response(405, fault(405, "this is read with GET").body, headers={"Allow": "GET, HEAD"}))
        elif request.path == "/healthz":
            respond(_json(200, {"status": "alive"}))
        elif request.path == "/readyz":
            respond(self._ready())
        elif request.path == "/metrics":
            self._later(self._metrics_text, respond)
        elif request.path == "/status":
            self._later(self._status, respond)
        else:
            respond(fault(404, "there are /healthz, /readyz, /metrics and /status"))

    def _ready(self) -> Response:
        level = self._writer.level
        problems, remarks = [], []
        if level.failure:
            problems.append(f"the spool's disk takes nothing: {level.failure}")
        if level.size >= self._spool_max_bytes * _NEARLY_FULL:
            remarks.append(f"the spool is nearly full: {level.size} of {self._spool_max_bytes} bytes")
        if self._telemetry is not None and self._telemetry.writer.level.failure:
            problems.append(f"telemetry's disk takes nothing: {self._telemetry.writer.level.failure}")
        if self.ending:
            problems.append("the relay is ending")
        if not self._delivery.is_up:
            remarks.append(f"the backend does not take events now: {self._delivery.last.failure}")
        return _json(
            503 if problems else 200,
            {"ready": not problems, "problems": problems, "remarks": remarks},
        )

    def _later(self, make: Callable[[float], Response], respond: Respond) -> None:
        task = asyncio.create_task(self._answer(make, respond))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, make: Callable[[float], Response], respond: Respond) -> None:
        oldest = await self._writer.ask(lambda spool: spool.oldest_received_at(), or_else=None)
        respond(make(0.0 if oldest is None else max(0.0, self._wall_clock() - oldest)))

    def _metrics_text(self, oldest_age_seconds: float) -> Response:
        level = self._writer.level
        text = self._metrics.text(
            (
                ("queue_events", "Events that wait for their delivery.", level.events),
                ("queue_bytes", "Bytes of the events that wait.", level.size),
                ("queue_capacity_bytes", "Bytes of events that may wait.", self._spool_max_bytes),
                ("queue_oldest_age_seconds", "Age of the event that has waited longest.", oldest_age_seconds),
                ("dead_letters", "Dead letters that are kept.", level.dead_letters),
                ("dead_letters_bytes", "Bytes of the dead letters.", level.dead_size),
                ("open_runs", "Runs that began here and have no end yet.", level.open_runs),
                ("open_runs_forgotten", "Open runs no longer followed, because too many were.", level.forgotten_runs),
                ("backend_up", "1 if the backend's last answer was one of a backend that works.", self._delivery.is_up),
                ("requests_under_way", "Requests to the backend without an answer yet.", self._delivery.under_way),
                ("connections", "Connections of the application.", len(self._application.connections)),
                ("inflight_bytes", "Bytes of requests that are not durable yet.", self._application.inflight_bytes),
                ("spool_writable", "1 if the spool's disk took the last write.", not level.failure),
                *self._telemetry_gauges(),
            ),
            [("namespace_queue_bytes", "Bytes of a namespace's events that wait in this gateway.", level.sources)],
        )
        return Response(200, text.encode(), _METRICS_TYPE)

    def _telemetry_gauges(self) -> list[tuple[str, str, float]]:
        level = self._telemetry.writer.level if self._telemetry is not None else Level()
        is_up = self._telemetry is None or self._telemetry.delivery.is_up
        return [
            ("telemetry_queue_requests", "Export requests that wait for their delivery.", level.events),
            ("telemetry_queue_bytes", "Bytes of the export requests that wait.", level.size),
            ("telemetry_dead_letters", "Export requests that the backend refused for good.", level.dead_letters),
            ("telemetry_backend_up", "1 if the telemetry backend's last answer was one of one that works.", is_up),
        ]

    def _telemetry_status(self) -> dict[str, object]:
        relay, metrics = self._telemetry, self._metrics.telemetry
        return {
            "backend": None if relay is None else relay.name,
            "up": None if relay is None else relay.delivery.is_up,
            "acked": metrics.accepted.total,
            "delivered": metrics.delivered.total,
            "pending": 0 if relay is None else relay.writer.level.events,
            "rejected_items": metrics.rejected_items.total,
            "last_failure": (relay.delivery.last.failure or None) if relay is not None else None,
        }

    def _status(self, oldest_age_seconds: float) -> Response:
        level, metrics, last = self._writer.level, self._metrics, self._delivery.last
        return _json(
            200,
            {
                "started_at": _moment(self._started_at),
                "port": self._application.port,
                "events": {
                    "acked": metrics.accepted.total,
                    "duplicates": metrics.duplicates.total,
                    "refused": metrics.refused.total,
                    "redacted": metrics.redacted.total,
                    "sent": metrics.sent.total,
                    "delivered": metrics.delivered.total,
                    "handed_over": metrics.handed_over.total,
                    "taken_over": metrics.taken_over.total,
                    "pending": level.events,
                    "dead": level.dead_letters,
                    "lost": metrics.dropped.total,
                },
                "runs": {"open": level.open_runs, "closed": metrics.runs_closed.total},
                "spool": {
                    "directory": self._spool_directory,
                    "bytes": level.size,
                    "max_bytes": self._spool_max_bytes,
                    "oldest_age_seconds": round(oldest_age_seconds, 3),
                    "failure": level.failure or None,
                },
                "telemetry": self._telemetry_status(),
                "backend": {
                    "name": self._destination.name,
                    "up": self._delivery.is_up,
                    "last_success_at": _moment(last.success_at),
                    "last_failure_at": _moment(last.failure_at),
                    "last_failure": last.failure or None,
                },
            },
        )


def _json(status: int, document: dict[str, object]) -> Response:
    return Response(status, msgspec.json.encode(document))


def _moment(seconds: float | None) -> str | None:
    import datetime as dt  # noqa: PLC0415 - for people only, who rarely ask

    return None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")
