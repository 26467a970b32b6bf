"""Telemetry on its way through a sidecar: OTLP/HTTP export requests, kept and sent as the opaque bytes that they are.

It has a file, a writer and a delivery of its own beside lineage's, so that neither waits for the other's backend, and
lineage never gives way to telemetry. Nobody orders export requests; each signal is sent on a few lanes at a time.

| request | answer |
|---|---|
| `POST …/v1/traces`, `/v1/metrics`, `/v1/logs` | 200 when durable; 503 with Retry-After if it does not fit |
| another type than protobuf or JSON | 415 |
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Sequence

from floe_sidecar import otlp
from floe_sidecar.delivery import Delivery
from floe_sidecar.destinations import Target
from floe_sidecar.events import digest
from floe_sidecar.http import Respond
from floe_sidecar.logs import log
from floe_sidecar.messages import Request, Response
from floe_sidecar.metrics import TelemetryMetrics
from floe_sidecar.orders import SpoolFullError, SpoolUnavailableError, Stored
from floe_sidecar.records import Queued, Record
from floe_sidecar.retries import Answer
from floe_sidecar.writer import Writer

_LANES = 4
_LOGGED_CHARACTERS = 300
_HEADERS = {405: {"Allow": "POST"}, 503: {"Retry-After": "1"}}


class TelemetryRelay:
    """The road of telemetry: its receiver, its file and its delivery."""

    def __init__(self, writer: Writer, delivery: Delivery, metrics: TelemetryMetrics, *, name: str) -> None:
        self.writer = writer
        self.delivery = delivery
        self.name = name
        self.receiver = TelemetryReceiver(writer, metrics)

    async def start(self) -> None:
        """Returns when exports can be taken; the folder is this process's already."""
        await self.writer.start()
        self.delivery.start()

    async def drain(self, *, within_seconds: float, patience_seconds: float) -> None:
        """Exports what waits, as long as the backend takes it."""
        if self.writer.level.events:
            await self.delivery.drain(within_seconds=within_seconds, patience_seconds=patience_seconds)

    async def stop(self) -> None:
        """Exports no more and closes the file."""
        await self.delivery.stop()
        await self.writer.stop()


class TelemetryReceiver:
    """Takes export requests."""

    def __init__(self, writer: Writer, metrics: TelemetryMetrics) -> None:
        self._writer = writer
        self._metrics = metrics
        self._lane = itertools.cycle(range(_LANES))

    def receive(self, request: Request, respond: Respond, signal: str) -> None:
        """Answers one request."""
        content_type = otlp.content_type_of(request.content_type)
        if request.method != "POST":
            self._refuse(respond, otlp.JSON, 405, "method", "telemetry is exported with POST")
        elif content_type is None:
            self._refuse(respond, otlp.JSON, 415, "type", f"OTLP/HTTP is {otlp.PROTOBUF} or {otlp.JSON}")
        elif not request.body:  # a message without a field: an export of nothing
            respond(_taken(content_type))
        else:
            self._keep(request, respond, otlp.Stream(signal, content_type))

    def _keep(self, request: Request, respond: Respond, stream: otlp.Stream) -> None:
        record = Record(_lane(stream, next(self._lane)), digest(request.body), request.body)

        def answer(stored: asyncio.Future[Stored]) -> None:
            trouble = _trouble(stored)
            if trouble is None:
                self._metrics.accepted.add(value=stream.signal)
                respond(_taken(stream.content_type))
            else:
                self._refuse(respond, stream.content_type, 503, *trouble)

        self._writer.append((record,)).add_done_callback(answer)

    def _refuse(self, respond: Respond, content_type: str, status: int, reason: str, what: str) -> None:
        self._metrics.refused.add(value=reason)
        body = otlp.failure(content_type, status, what)
        respond(Response(status, body, content_type, headers=_HEADERS.get(status, {})))


class TelemetryBackend:
    """An OTLP/HTTP backend, or a collector."""

    what = "telemetry backend"

    def __init__(self, target: Target, metrics: TelemetryMetrics) -> None:
        self.name = target.name
        self._target = target
        self._metrics = metrics
        self._told: dict[str, str] = {}

    async def send(self, event: Queued, body: bytes) -> Answer:
        """Exports the request as it came; what the backend rejects of it is counted and logged, not sent again."""
        stream = _stream(event.run)
        answer = await self._target.post(stream.path, body, stream.content_type)
        if answer.status is not None and 200 <= answer.status < 300:  # noqa: PLR2004 - the class of success
            self._note(stream, otlp.partial_success(stream.content_type, answer.content))
        return answer

    def refresh_credentials(self) -> bool:
        """Reads the key's file again."""
        return self._target.refresh_credentials()

    def close(self) -> None:
        """Ends the kept connections."""
        self._target.close()

    def _note(self, stream: otlp.Stream, partial: otlp.PartialSuccess | None) -> None:
        if partial is None:
            return
        self._metrics.rejected_items.add(partial.rejected, value=stream.signal)
        message = self._target.without_secrets(partial.message)[:_LOGGED_CHARACTERS]
        if self._told.get(stream.signal) != message:  # said once, not for each request
            self._told[stream.signal] = message
            log(
                logging.WARNING,
                "the telemetry backend took a part only",
                signal=stream.signal,
                rejected=partial.rejected,
                reason=message,
            )


def _taken(content_type: str) -> Response:
    return Response(200, otlp.success(content_type), content_type)


def _trouble(stored: asyncio.Future[Stored]) -> Sequence[str] | None:
    try:
        stored.result()
    except asyncio.CancelledError:
        return "ending", "the relay is ending"
    except SpoolFullError:
        return "spool_full", "the room for telemetry is full; try again later"
    except SpoolUnavailableError:
        return "spool_unavailable", "the spool's disk takes nothing now; try again later"
    return None


def _lane(stream: otlp.Stream, number: int) -> str:
    return f"{stream.signal} {stream.content_type} {number}"


def _stream(lane: str) -> otlp.Stream:
    signal, content_type, _ = lane.split(" ")
    return otlp.Stream(signal, content_type)
