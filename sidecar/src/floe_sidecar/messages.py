"""Requests and responses as values, without the connection that they come and go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_PHRASES = {
    200: "OK",
    201: "Created",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    413: "Content Too Large",
    415: "Unsupported Media Type",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
JSON_TYPE = "application/json"
_CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """A complete request; `body` is inflated, `received_at` the loop's time of its last byte.

    `authorization`, `content_type` and `traceparent` are those headers.
    """

    method: str
    path: str
    body: bytes
    received_at: float
    authorization: str = field(default="", repr=False)
    content_type: str = ""
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; `headers` beside type and length, which are set here."""

    status: int
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, close: bool, with_body: bool) -> bytes:
        """The bytes on the wire."""
        if self.status == 201 and not (close or self.body or self.headers):  # noqa: PLR2004 - the ack, the usual answer
            return _CREATED
        lines = [f"HTTP/1.1 {self.status} {_PHRASES[self.status]}", f"Content-Length: {len(self.body)}"]
        if self.body or self.content_type != JSON_TYPE:
            lines.append(f"Content-Type: {self.content_type}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if close:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        return head + self.body if with_body else head
