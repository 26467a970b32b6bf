"""The memory of what came lately, so that an event that a client repeats is sent once."""

from __future__ import annotations

CAPACITY = 8192
"""Events that are remembered at most: 1.5 MiB. A client repeats within a minute, long before they are pushed out."""


class RecentDigests:
    """Digests with the moment they came, forgotten after the window or when newer ones need their place."""

    def __init__(self, window_seconds: float, *, capacity: int = CAPACITY) -> None:
        self._window_seconds = window_seconds
        self._capacity = capacity
        self._moments: dict[bytes, float] = {}

    def holds(self, digest: bytes, now: float) -> bool:
        """Whether the digest came within the window; a clock that was set back does not make it older or younger."""
        moment = self._moments.get(digest)
        return moment is not None and abs(now - moment) < self._window_seconds

    def add(self, digest: bytes, now: float) -> None:
        """Remembers the digest from now on."""
        self._moments.pop(digest, None)
        self._moments[digest] = now
        while len(self._moments) > self._capacity:
            del self._moments[next(iter(self._moments))]

    def forget(self, digest: bytes) -> None:
        """The event is not kept after all, or may come again."""
        self._moments.pop(digest, None)
