"""The application's side: lineage comes in, and is acknowledged when it is on the disk and not before.

| request | answer |
|---|---|
| `POST …/api/v1/lineage` | 201 when durable, as Marquez; 400 with what is wrong; 503 with Retry-After |
| `POST …/api/v1/lineage/batch` | 200 with the specification's summary, an entry for each event that failed |
| another method | 405 |
| another path | 404 with the right one |

A path may stand before `/api/v1/lineage`, since clients join a URL that already has one to their own endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from floe_sidecar import events
from floe_sidecar.http import Respond
from floe_sidecar.messages import Request, Response
from floe_sidecar.metrics import Clock, Metrics
from floe_sidecar.orders import ShareFullError, SpoolFullError, SpoolUnavailableError, Stored
from floe_sidecar.records import Record
from floe_sidecar.shares import of_source
from floe_sidecar.writer import Writer

SINGLE = "/api/v1/lineage"
BATCH = SINGLE + "/batch"

Enrich = Callable[[bytes, str], bytes]
"""An event and the request's `traceparent` in, the event with what is added to it out."""

_CREATED = Response(201)
_HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}
"""What belongs to an answer of that status (RFC 9110 11.6.1, 10.2.3)."""


def fault(status: int, what: str) -> Response:
    """An answer that tells the sender what is wrong."""
    headers = _HEADERS.get(status, {})
    return Response(status, msgspec.json.encode({"error": what}), headers=headers)


class Receiver:
    """Turns requests into records of the spool, and the spool's answers into responses."""

    def __init__(
        self,
        writer: Writer,
        metrics: Metrics,
        *,
        redact: Callable[[bytes], bytes] = bytes,
        enrich: Enrich | None = None,
        saw: Callable[[bytes], None] | None = None,
        follow_runs: bool,
        batch_max_events: int,
        clock: Clock,
    ) -> None:
        self._writer = writer
        self._metrics = metrics
        self._redact = redact
        self._enrich = enrich
        self._saw = saw
        self._follow_runs = follow_runs
        self._batch_max_events = batch_max_events
        self._clock = clock

    def receive(self, request: Request, respond: Respond, *, source: str = "") -> None:
        """Answers one request; a gateway says whose it is."""
        path = request.path.rstrip("/")
        if not path.endswith((SINGLE, BATCH)):
            self._metrics.refused.add(value="path")
            respond(fault(404, f"there is nothing at this path; lineage is taken at {SINGLE} and {BATCH}"))
        elif request.method != "POST":
            self._metrics.refused.add(value="method")
            response = fault(405, "lineage is sent with POST")
            respond(Response(405, response.body, headers={"Allow": "POST"}))
        elif path.endswith(BATCH):
            self._receive_batch(request, respond, source)
        else:
            self._receive_one(request, respond, source)

    def keep(
        self,
        records: Sequence[Record],
        request: Request,
        respond: Respond,
        confirmed: Callable[[Stored], Response],
        *,
        source: str = "",
    ) -> None:
        """Answers what `confirmed` makes of it when the records are durable, or why they are not kept."""

        def answer(stored: asyncio.Future[Stored]) -> None:
            trouble = self._count(stored, len(records), request, source)
            if trouble is None and self._saw is not None:
                for record in records:
                    self._saw(record.body)
            respond(confirmed(stored.result()) if trouble is None else fault(503, trouble))

        self._writer.append(records).add_done_callback(answer)

    def _receive_one(self, request: Request, respond: Respond, source: str) -> None:
        try:
            record = self._record(request.body, source, request.traceparent)
        except events.EventRefusedError as error:
            self._metrics.refused.add(value=error.refusal)
            respond(fault(400, str(error)))
            return
        self.keep((record,), request, respond, lambda _stored: _CREATED, source=source)

    def _receive_batch(self, request: Request, respond: Respond, source: str) -> None:
        try:
            bodies = events.split(request.body)
        except events.EventRefusedError as error:
            self._metrics.refused.add(value=error.refusal)
            respond(fault(400, str(error)))
            return
        if len(bodies) > self._batch_max_events:
            self._metrics.refused.add(len(bodies), value="too_large")
            respond(fault(413, f"the batch has {len(bodies)} events, at most {self._batch_max_events} are taken"))
            return
        records: list[Record] = []
        failed: list[dict[str, object]] = []
        for index, body in enumerate(bodies):
            try:
                records.append(self._record(body, source, request.traceparent))
            except events.EventRefusedError as error:
                self._metrics.refused.add(value=error.refusal)
                failed.append({"index": index, "reason": str(error), "retriable": False})
        if not records:
            respond(_summary(len(bodies), failed))
            return
        self.keep(records, request, respond, lambda _stored: _summary(len(bodies), failed), source=source)

    def _record(self, body: bytes, source: str, traceparent: str) -> Record:
        """What is kept of an event: its bytes without credentials and with the pod's names, its order, its role."""
        clean = self._redact(body)
        whole = self._enrich(clean, traceparent) if self._enrich is not None else clean
        event = events.read(whole)
        if clean is not body:
            self._metrics.redacted.add()
        if whole is not clean:
            self._metrics.enriched.add()
        if event.validity is not events.Validity.VALID:
            self._metrics.invalid.add(value=event.validity)
        run = of_source(source, event.key) if source else event.key
        return Record(run, event.digest, whole, event.sign if self._follow_runs else None)

    def _count(self, stored: asyncio.Future[Stored], number: int, request: Request, source: str) -> str | None:
        """Counts what became of events; gives what the sender is told if they were not kept."""
        try:
            result = stored.result()
        except asyncio.CancelledError:
            return "the relay is ending"
        except ShareFullError:
            self._metrics.refused.add(number, value="namespace_full")
            self._metrics.namespace_refused.add(number, value=source)
            return f"the namespace {source} has as much waiting as it may; try again later"
        except SpoolFullError:
            self._metrics.refused.add(number, value="spool_full")
            return "the spool is full; try again later"
        except SpoolUnavailableError:
            self._metrics.refused.add(number, value="spool_unavailable")
            return "the spool's disk takes nothing now; try again later"
        self._metrics.accepted.add(number)
        self._metrics.duplicates.add(result.duplicates)
        self._metrics.ack_seconds.observe(self._clock() - request.received_at)
        return None


def _summary(received: int, failed: list[dict[str, object]]) -> Response:
    """The specification's answer to a batch (OpenLineage.yml 2.0.2)."""
    retriable = sum(1 for failure in failed if failure["retriable"])
    document = {
        "status": "partial_success" if failed else "success",
        "summary": {
            "received": received,
            "successful": received - len(failed),
            "failed": len(failed),
            "retriable": retriable,
            "non_retriable": len(failed) - retriable,
        },
        "failed_events": failed,
    }
    return Response(200, msgspec.json.encode(document))
