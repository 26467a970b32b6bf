"""Where events go: a lineage backend over HTTP, or standard output if none is named."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Protocol
from urllib.parse import urlsplit

from floe_sidecar import batches
from floe_sidecar.client import ANSWER_BYTES, Client
from floe_sidecar.credentials import ApiKey
from floe_sidecar.records import Queued
from floe_sidecar.redaction import MARK, redact
from floe_sidecar.retries import Answer
from floe_sidecar.roads import Road

_PLACEHOLDER = "${api_key}"
_SHORTEST_SECRET = 8


class Destination(Protocol):
    """Something that takes events."""

    name: str
    """Where it is, without credentials, for people."""

    what: str
    """What it is, for people."""

    async def send(self, event: Queued, body: bytes) -> Answer:
        """Sends one event; never raises for the other side's faults."""

    def refresh_credentials(self) -> bool:
        """Reads the key again; says whether it has changed."""

    def close(self) -> None:
        """Ends what is kept open."""


class TakesBatches(Protocol):
    """Something that takes many events at once."""

    async def send_batch(self, events: Sequence[Queued], bodies: Sequence[bytes]) -> Answer:
        """Sends them; the answer says what became of each (`floe_sidecar.batches`)."""

    def without_secrets(self, text: str) -> str:
        """What may be shown of a text of the other side."""


class Target:
    """An address that takes bodies over HTTP/1.1, with its headers and its key."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        key: ApiKey,
        road: Road,
        timeout_seconds: float,
        answer_bytes: int = ANSWER_BYTES,
    ) -> None:
        parts = urlsplit(url)
        self.name = redact(url.encode()).decode()
        self._key = key
        self._headers = headers
        self._path = parts.path or "/"
        self._query = f"?{parts.query}" if parts.query else ""
        self._host = parts.netloc
        self._client = Client(road, timeout_seconds=timeout_seconds, answer_bytes=answer_bytes)

    async def post(self, path: str, body: bytes, content_type: str, *more: str) -> Answer:
        """Posts to the address, or to a path below it; `more` are further header lines."""
        key = self._key.current()
        below = f"{self._path.rstrip('/')}/{path}" if path else self._path
        lines = [f"POST {below}{self._query} HTTP/1.1", f"Host: {self._host}", "User-Agent: floe-sidecar"]
        lines += [f"Content-Length: {len(body)}", *more]
        given = {name.lower() for name in self._headers}
        if "content-type" not in given:
            lines.append(f"Content-Type: {content_type}")
        placed = any(_PLACEHOLDER in value for value in self._headers.values())
        if key and not placed and "authorization" not in given:
            lines.append(f"Authorization: Bearer {key}")
        lines += [f"{name}: {value.replace(_PLACEHOLDER, key)}" for name, value in self._headers.items()]
        answer = await self._client.post("\r\n".join([*lines, "", ""]).encode("latin-1"), body)
        return Answer(answer.status, answer.retry_after, self.without_secrets(answer.detail), answer.content)

    def refresh_credentials(self) -> bool:
        """Reads the key's file again."""
        return self._key.read_again()

    def close(self) -> None:
        """Ends the kept connections."""
        self._client.close()

    def without_secrets(self, text: str) -> str:
        """What may be shown of a text: the other side may repeat what it was sent."""
        key = self._key.current()
        for secret in (key, *(value for value in self._headers.values() if len(value) >= _SHORTEST_SECRET)):
            if secret:
                text = text.replace(secret, MARK.decode())
        return redact(text.encode()).decode(errors="replace")


class Backend:
    """A lineage backend. Each request carries the event's digest as `Idempotency-Key`."""

    what = "lineage backend"

    def __init__(self, target: Target, batch_target: Target | None = None) -> None:
        self.name = target.name
        self._target = target
        self._batch_target = batch_target

    async def send(self, event: Queued, body: bytes) -> Answer:
        """Posts the body as it is."""
        return await self._target.post("", body, "application/json", f"Idempotency-Key: {event.digest.hex()}")

    @property
    def takes_batches(self) -> bool:
        """Whether the backend has an endpoint for arrays."""
        return self._batch_target is not None

    async def send_batch(self, events: Sequence[Queued], bodies: Sequence[bytes]) -> Answer:
        """Posts the events as one array."""
        assert self._batch_target is not None  # noqa: S101 - whoever asks has looked
        line = f"Idempotency-Key: {batches.key(events)}"
        return await self._batch_target.post("", batches.encode(bodies), "application/json", line)

    def without_secrets(self, text: str) -> str:
        """What may be shown of a text: the backend may repeat what it was sent."""
        return self._target.without_secrets(text)

    def refresh_credentials(self) -> bool:
        """Reads the key's file again."""
        return self._target.refresh_credentials()

    def close(self) -> None:
        """Ends the kept connections."""
        self._target.close()
        if self._batch_target is not None:
            self._batch_target.close()


class Console:
    """Standard output, one event a line: what a person sees who starts the sidecar without telling it anything."""

    name = "standard output"
    what = "lineage backend"

    async def send(self, event: Queued, body: bytes) -> Answer:  # noqa: ARG002 - a destination's signature
        """Writes the event; valid JSON holds a line break only between its parts, where a space means the same."""
        try:
            sys.stdout.buffer.write(body.replace(b"\n", b" ").replace(b"\r", b" ") + b"\n")
            sys.stdout.buffer.flush()
        except OSError as error:
            return Answer(None, detail=str(error))
        return Answer(200)

    def refresh_credentials(self) -> bool:
        """There are none."""
        return False

    def close(self) -> None:
        """Nothing is kept open."""


def batches_of(destination: Destination) -> TakesBatches | None:
    """The destination's way for many events at once, if it has one."""
    return destination if isinstance(destination, Backend) and destination.takes_batches else None
