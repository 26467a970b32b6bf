"""A gRPC server for unary calls that sees what a gRPC library hides: how each message was compressed.

Only what an OTLP exporter needs: one message in, an empty message out. Specification: gRPC over HTTP2 (PROTOCOL-HTTP2).
"""

import asyncio
import gzip
from collections.abc import Callable
from dataclasses import dataclass, field

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset

_PREFIX_BYTES = 5  # one byte says whether the message is compressed, four hold its length
_EMPTY_MESSAGE = bytes(_PREFIX_BYTES)


@dataclass(frozen=True, slots=True)
class Call:
    """One unary call as it came over the wire, its message decompressed."""

    path: str
    headers: dict[str, str]
    compression: str
    """`gzip`, or `none`."""
    message: bytes


@dataclass(slots=True)
class _Stream:
    headers: dict[str, str]
    body: bytearray = field(default_factory=bytearray)


class GrpcIntake(asyncio.Protocol):
    """One client's connection; `receive` is called with every call, and what it raises fails the call."""

    def __init__(self, receive: Callable[[Call], None]) -> None:
        self._receive = receive
        self._connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._streams: dict[int, _Stream] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens HTTP/2."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connection.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Takes frames, answers the calls that are complete."""
        for event in self._connection.receive_data(data):
            self._take(event)
        self._flush()

    def _take(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(stream), headers=list(headers)):
                self._streams[stream] = _Stream({str(name): str(value) for name, value in headers})
            case DataReceived(stream_id=int(stream), data=bytes(body), flow_controlled_length=int(length)):
                self._streams[stream].body += body
                self._connection.acknowledge_received_data(length, stream)
            case StreamEnded(stream_id=int(stream)):
                self._answer(stream, self._streams.pop(stream))
            case StreamReset(stream_id=int(stream)):
                self._streams.pop(stream, None)

    def _answer(self, stream_id: int, stream: _Stream) -> None:
        status = "0"
        try:
            self._receive(_call(stream))
        except ValueError:
            status = "3"  # INVALID_ARGUMENT: an exporter does not try again
        self._connection.send_headers(stream_id, [(":status", "200"), ("content-type", "application/grpc")])
        self._connection.send_data(stream_id, _EMPTY_MESSAGE)
        self._connection.send_headers(stream_id, [("grpc-status", status)], end_stream=True)

    def _flush(self) -> None:
        assert self._transport is not None
        self._transport.write(self._connection.data_to_send())


def _call(stream: _Stream) -> Call:
    is_compressed, message = stream.body[0] == 1, bytes(stream.body[_PREFIX_BYTES:])
    compression = stream.headers.get("grpc-encoding", "identity") if is_compressed else "none"
    if compression == "gzip":
        message = gzip.decompress(message)
    elif compression != "none":
        raise ValueError(f"{stream.headers[':path']}: a message in {compression!r}; an OTLP backend understands gzip")
    return Call(stream.headers[":path"], stream.headers, compression, message)
