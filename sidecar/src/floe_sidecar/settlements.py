"""Delivered events on their way out of the spool: a little later, many at once.

Undone by a kill, an event is sent once more under the same key.
"""

from __future__ import annotations

import asyncio

from floe_sidecar.writer import Writer

_SECONDS = 0.02
_EVENTS = 64


class Settlements:
    """What one delivery has to tell its writer."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._delivered: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, sequence: int) -> None:
        """The event is delivered."""
        self._delivered.append(sequence)
        if len(self._delivered) >= _EVENTS:
            self.write()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self.write)

    def write(self) -> None:
        """Tells the writer now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._delivered:
            self._writer.settle(self._delivered)
            self._delivered = []
