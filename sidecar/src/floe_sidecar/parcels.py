"""What goes over the wire when a sidecar hands over to the gateway: events byte for byte, in their order.

MessagePack, because bodies are bytes of any kind and JSON would have to dress them up. An event's idempotency key is
its body's digest (`floe_sidecar.events.digest`), the same everywhere, and is not sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from floe_sidecar.events import digest
from floe_sidecar.records import Queued, Record
from floe_sidecar.shares import of_source

PATH = "/floe/v1/handover"
CONTENT_TYPE = "application/msgpack"
ENVELOPE_BYTES = 1024
"""What one event takes on the wire beside its body, at most."""

_LONGEST_RUN = 300


class ParcelsRefusedError(Exception):
    """The body is not a batch of events; the message says why."""


class _Parcel(msgspec.Struct, array_like=True, frozen=True):
    run: Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST_RUN)]
    received_at: float
    body: Annotated[bytes, msgspec.Meta(min_length=1)]


_decoder = msgspec.msgpack.Decoder(list[_Parcel])


def encode(events: Sequence[Queued]) -> bytes:
    """The body of a handover; events whose own body is gone are left out."""
    return msgspec.msgpack.encode(
        [_Parcel(event.run, event.received_at, event.body) for event in events if event.body is not None]
    )


def decode(content: bytes, source: str, *, now: float) -> list[Record]:
    """What a gateway keeps of a handover of the source, under its name.

    Raises:
        ParcelsRefusedError: It is no such batch.
    """
    try:
        parcels = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ParcelsRefusedError(f"the body is not a batch of events: {error}") from None
    return [
        # A sender's clock is not believed beyond our own: NaN and the future become now.
        Record(
            of_source(source, parcel.run),
            digest(parcel.body),
            parcel.body,
            received_at=parcel.received_at if 0 < parcel.received_at <= now else now,
        )
        for parcel in parcels
    ]
