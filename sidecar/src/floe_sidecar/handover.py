"""What is left at the pod's end goes to the gateway, batch by batch in its order, and is forgotten when confirmed.

    read the front of the queue -> POST -> 200: take it out, read on
                                        -> 413: half of it; one event alone that is too large is a dead letter
                                        -> anything else: stop; the next try sends the same batch again

A batch whose answer was lost comes twice, and the gateway knows its events by their digests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from urllib.parse import urljoin, urlsplit

from floe_sidecar import parcels
from floe_sidecar.client import Client
from floe_sidecar.credentials import ApiKey
from floe_sidecar.dead_letters import buried
from floe_sidecar.logs import log
from floe_sidecar.metrics import Clock, Metrics
from floe_sidecar.records import Queued
from floe_sidecar.redaction import MARK
from floe_sidecar.retries import Answer
from floe_sidecar.roads import Road
from floe_sidecar.settings import Settings
from floe_sidecar.writer import Writer

_BATCH_EVENTS = 512
_DETAIL_CHARACTERS = 300
_OK = 200
_UNAUTHORISED = 401
_TOO_LARGE = 413


class Handover:
    """The road from one spool to the gateway."""

    def __init__(self, settings: Settings, road: Road, writer: Writer, metrics: Metrics, *, clock: Clock) -> None:
        parts = urlsplit(urljoin(settings.gateway_url, parcels.PATH))
        self.name = f"{parts.scheme}://{parts.netloc}"
        self.begun = False
        """Whether the gateway confirmed a batch: from then on nothing may overtake it on another road."""
        self.failure = ""
        """Why the last try ended, if it did not end well."""
        self._writer = writer
        self._metrics = metrics
        self._clock = clock
        self._batch_bytes = settings.gateway_batch_bytes
        self._token = ApiKey(settings.gateway_token_file, "", clock=clock, what="the gateway token's file")
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: floe-sidecar\r\n"
            f"Content-Type: {parcels.CONTENT_TYPE}\r\n"
        )
        self._client = Client(road, timeout_seconds=settings.gateway_timeout_seconds)
        self._cursor = 0
        self._most_events = _BATCH_EVENTS

    async def run(self, *, deadline: float) -> bool:
        """Hands over until nothing waits; False if a batch was not confirmed, and `failure` says why."""
        while True:
            batch = await self._next_batch()
            if batch is None:
                self.failure = "the spool cannot be read now"
                return False
            if not batch:
                self.failure = ""
                return True
            answer = await self._send(batch, deadline)
            if answer.status == _OK:
                self._confirmed(batch)
            elif answer.status == _TOO_LARGE:
                self._too_large(batch, answer)
            else:
                self._failed(answer)
                return False

    def close(self) -> None:
        """Ends the kept connection."""
        self._client.close()

    async def _next_batch(self) -> list[Queued] | None:
        """The oldest events that were not confirmed; None if the disk does not give them now."""
        cursor, most, size = self._cursor, self._most_events, self._batch_bytes
        answer = await self._writer.ask(
            lambda spool: spool.read_after(cursor, limit=most, max_bytes=size), or_else=None
        )
        return None if answer is None else answer[0]

    async def _send(self, batch: Sequence[Queued], deadline: float) -> Answer:
        body = parcels.encode(batch)
        token = self._token.current()
        head = self._head + f"Content-Length: {len(body)}\r\nAuthorization: Bearer {token}\r\n\r\n"
        try:
            async with asyncio.timeout(deadline - self._clock()):
                answer = await self._client.post(head.encode("latin-1"), body)
        except TimeoutError:
            return Answer(None, detail="no answer before the end")
        if answer.status == _UNAUTHORISED:
            self._token.read_again()
        detail = answer.detail.replace(token, MARK.decode()) if token else answer.detail
        return Answer(answer.status, answer.retry_after, detail)

    def _confirmed(self, batch: Sequence[Queued]) -> None:
        self.begun = True
        self._cursor = batch[-1].sequence
        self._most_events = min(_BATCH_EVENTS, 2 * self._most_events)
        sent = [event.sequence for event in batch if event.body is not None]
        damaged = [event for event in batch if event.body is None]
        self._metrics.handed_over.add(len(sent))
        why = "what was stored is not what was received"
        self._writer.settle(sent, buried(damaged, "damaged", why, self._metrics))

    def _too_large(self, batch: Sequence[Queued], answer: Answer) -> None:
        """Finds the event that the gateway's bounds exclude; it waits for nobody, or nothing behind it would go."""
        if len(batch) > 1:
            self._most_events = len(batch) // 2
            return
        self._cursor = batch[-1].sequence
        detail = f"the gateway: {answer.detail[:_DETAIL_CHARACTERS]}"
        self._writer.settle([], buried(batch, f"status_{answer.status}", detail, self._metrics))

    def _failed(self, answer: Answer) -> None:
        failure = f"{answer.status or 'no answer'}: {answer.detail[:_DETAIL_CHARACTERS]}".rstrip(": ")
        if failure != self.failure:
            log(logging.WARNING, "the gateway did not take what is left", gateway=self.name, answer=failure)
        self.failure = failure
