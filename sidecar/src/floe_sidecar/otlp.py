"""What a relay has to know of OTLP/HTTP 1.11: paths, types, its answers, and what an answer says of a partial success.

Requests stay opaque bytes. The few messages that are read or written here are small enough to do by hand, and a library
for them would cost more than everything else in the pod:

    Export…ServiceResponse  { partial_success = 1 { rejected_… = 1 (int64), error_message = 2 (string) } }
    google.rpc.Status       { code = 1 (int32), message = 2 (string) }
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
SIGNALS = ("traces", "metrics", "logs")

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SHORT = 0x7F
_GRPC_CODES = {400: 3, 401: 16, 404: 5, 413: 8, 415: 3, 503: 14}
_UNKNOWN = 2


@dataclass(frozen=True, slots=True)
class Stream:
    """Which signal a request exports and how it is written; what is the same in both may go over one connection."""

    signal: str
    content_type: str

    @property
    def path(self) -> str:
        """The path behind the base URL."""
        return f"v1/{self.signal}"


@dataclass(frozen=True, slots=True)
class PartialSuccess:
    """What the backend took only a part of: how many items it rejected, and why; 0 is a warning."""

    rejected: int
    message: str


def signal_of(path: str) -> str | None:
    """The signal that a path exports, also behind a base path; None for another path."""
    for signal in SIGNALS:
        if path.endswith(f"/v1/{signal}"):
            return signal
    return None


def content_type_of(header: str) -> str | None:
    """One of the two types that there are, without its parameters; None for another."""
    found = header.partition(";")[0].strip().lower()
    return found if found in {PROTOBUF, JSON} else None


def success(content_type: str) -> bytes:
    """The body of a full success: a message without a field."""
    return b"{}" if content_type == JSON else b""


def failure(content_type: str, status: int, what: str) -> bytes:
    """The body of a failure: a `google.rpc.Status`."""
    code = _GRPC_CODES.get(status, _UNKNOWN)
    if content_type == JSON:
        return msgspec.json.encode({"code": code, "message": what})
    text = what.encode()
    return bytes((1 << 3 | _VARINT, code, 2 << 3 | _BYTES)) + _varint(len(text)) + text


def partial_success(content_type: str, body: bytes) -> PartialSuccess | None:
    """What an answer of success says; None if everything was taken, or nothing can be read of it."""
    try:
        found = _from_json(body) if content_type == JSON else _from_protobuf(body)
    except (msgspec.DecodeError, ValueError, IndexError):
        return None
    return found if found.rejected or found.message else None


def _from_json(body: bytes) -> PartialSuccess:
    document = msgspec.json.decode(body, type=dict[str, object]) if body else {}
    part = document.get("partialSuccess")
    if not isinstance(part, dict):
        return PartialSuccess(0, "")
    # proto3's JSON writes an int64 as a string.
    rejected = next((value for name, value in part.items() if str(name).startswith("rejected")), 0)
    return PartialSuccess(int(str(rejected)), str(part.get("errorMessage", "")))


def _from_protobuf(body: bytes) -> PartialSuccess:
    rejected, message = 0, ""
    for number, value in _fields(body):
        if number == 1 and isinstance(value, bytes):
            for inner, content in _fields(value):
                if inner == 1 and isinstance(content, int):
                    rejected = content
                elif inner == 2 and isinstance(content, bytes):  # noqa: PLR2004 - the field's number
                    message = content.decode("utf-8", "replace")
    return PartialSuccess(rejected, message)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field numbers and values of a protobuf message; what is cut off at its end is given as far as it is there."""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _read_varint(message, position)
            yield number, value
        elif kind == _BYTES:
            length, position = _read_varint(message, position)
            yield number, message[position : position + length]
            position += length
        elif kind in {_FIXED32, _FIXED64}:
            position += 4 if kind == _FIXED32 else 8
        else:
            raise ValueError(f"there is no wire type {kind}")


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & _SHORT) << shift
        if byte <= _SHORT:
            return value, position
        shift += 7
        if shift >= 64:  # noqa: PLR2004 - a varint has 64 bit at most
            raise ValueError("a number is longer than 64 bit")


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > _SHORT:
        found.append(value & _SHORT | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
