"""Where events go: a lineage backend over HTTP, or standard output if none is named."""

from __future__ import annotations

import sys
from typing import Protocol
from urllib.parse import urljoin, urlsplit

from floe_sidecar.client import Client, tls_context
from floe_sidecar.credentials import ApiKey
from floe_sidecar.records import Queued
from floe_sidecar.redaction import MARK, redact
from floe_sidecar.retries import Answer
from floe_sidecar.settings import Settings

_PLACEHOLDER = "${api_key}"
_SHORTEST_SECRET = 8


class Destination(Protocol):
    """Something that takes events."""

    name: str
    """Where it is, without credentials, for people."""

    async def send(self, event: Queued, body: bytes) -> Answer:
        """Sends one event; never raises for the other side's faults."""

    def refresh_credentials(self) -> bool:
        """Reads the key again; says whether it has changed."""

    def close(self) -> None:
        """Ends what is kept open."""


class Backend:
    """A lineage backend over HTTP/1.1. Each request carries the event's digest as `Idempotency-Key`."""

    def __init__(self, settings: Settings, key: ApiKey) -> None:
        url = urljoin(settings.lineage_url, settings.lineage_endpoint)
        parts = urlsplit(url)
        self.name = redact(url.encode()).decode()
        self._key = key
        self._headers = settings.lineage_headers
        self._head = (
            f"POST {parts.path or '/'}{'?' + parts.query if parts.query else ''} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        )
        secure = parts.scheme == "https"
        self._client = Client(
            parts.hostname or "",
            parts.port or (443 if secure else 80),
            tls=tls_context(settings.lineage_ca_file) if secure else None,
            timeout_seconds=settings.lineage_timeout_seconds,
        )

    async def send(self, event: Queued, body: bytes) -> Answer:
        """Posts the body as it is."""
        key = self._key.current()
        lines = ["User-Agent: floe-sidecar", f"Content-Length: {len(body)}", f"Idempotency-Key: {event.digest.hex()}"]
        given = {name.lower() for name in self._headers}
        if "content-type" not in given:
            lines.append("Content-Type: application/json")
        placed = any(_PLACEHOLDER in value for value in self._headers.values())
        if key and not placed and "authorization" not in given:
            lines.append(f"Authorization: Bearer {key}")
        lines += [f"{name}: {value.replace(_PLACEHOLDER, key)}" for name, value in self._headers.items()]
        head = self._head + "\r\n".join([*lines, "", ""])
        answer = await self._client.post(head.encode("latin-1"), body)
        return Answer(answer.status, answer.retry_after, self._without_secrets(answer.detail, key))

    def refresh_credentials(self) -> bool:
        """Reads the key's file again."""
        return self._key.read_again()

    def close(self) -> None:
        """Ends the kept connections."""
        self._client.close()

    def _without_secrets(self, detail: str, key: str) -> str:
        """A backend may repeat what it was sent."""
        for secret in (key, *(value for value in self._headers.values() if len(value) >= _SHORTEST_SECRET)):
            if not secret:
                continue
            detail = detail.replace(secret, MARK.decode())
        return redact(detail.encode()).decode(errors="replace")


class Console:
    """Standard output, one event a line: what a person sees who starts the sidecar without telling it anything."""

    name = "standard output"

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
