"""What an answer of the backend means, and when to try again. Pure.

| answer | meaning |
|---|---|
| 2xx | delivered |
| no connection, no answer in time, connection lost | the backend is away: all wait |
| 429, 503 | the backend asks for patience: all wait, as long as Retry-After says if it says so |
| 401, 403; 407 of a proxy | the key is not taken: all wait, the key is read again |
| 408, 425, 500, 502, 504 and other 5xx | the backend, or this event: its run waits; all wait if nothing passes |
| other 4xx, 3xx | this event: a dead letter |

An event that is answered 5xx again and again while events of other runs pass becomes a dead letter too: Marquez
answers 500 to events that it will never take.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

_MOST_DOUBLINGS = 30
_SUSPICIOUS_FAILURES = 3
_UNAUTHORISED = frozenset({401, 403, 407})
_PATIENCE = frozenset({429, 503})
_AGAIN = frozenset({408, 425})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status, or none and why. `retry_after` is the header, `detail` the body's beginning as text."""

    status: int | None
    retry_after: str = ""
    detail: str = ""
    content: bytes = field(default=b"", repr=False)
    """The body's beginning as it came."""


class Meaning(StrEnum):
    """What to do; the value is the metric's label."""

    DELIVERED = "delivered"
    AWAY = "away"
    PATIENCE = "patience"
    UNAUTHORISED = "unauthorised"
    FAILING = "failing"
    REJECTED = "rejected"


def meaning(answer: Answer) -> Meaning:
    """What the answer means, by the table above."""
    status = answer.status
    if status is None:
        return Meaning.AWAY
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        return Meaning.DELIVERED
    if status in _UNAUTHORISED:
        return Meaning.UNAUTHORISED
    if status in _PATIENCE:
        return Meaning.PATIENCE
    if status >= 500 or status in _AGAIN:  # noqa: PLR2004 - the class of server errors
        return Meaning.FAILING
    return Meaning.REJECTED


def retry_after_seconds(text: str, now: float) -> float | None:
    """The delay that a Retry-After header asks for, as seconds or as an HTTP date; None if it says nothing usable.

    Args:
        text: The header's value.
        now: Seconds since the epoch.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rarely needed, and costs as much as the rest

    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - now)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Random delays whose upper bound doubles: full jitter, so that a thousand pods do not come back at once."""

    base_seconds: float
    cap_seconds: float
    draw: Callable[[], float] = random.random

    def delay(self, failures: int) -> float:
        """Seconds to wait after that many failures in a row, at least 1."""
        doublings = min(failures - 1, _MOST_DOUBLINGS)
        return self.draw() * min(self.cap_seconds, self.base_seconds * 2.0**doublings)


class Breaker:
    """Whether the backend may be asked at all. One delay is shared by everything that goes there.

    closed: as many requests as wanted. After failures it is open until a moment, then half open: one request, of
    another run each time, and its answer decides.
    """

    def __init__(self, backoff: Backoff) -> None:
        self.backoff = backoff
        self.failures = 0
        self.passes = 0
        self.open_until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the last answers kept everybody from asking, and none was better since."""
        return self.failures > 0 and self.open_until > 0.0

    def allows(self, now: float, *, under_way: int) -> bool:
        """Whether one more request may start."""
        return now >= self.open_until and (under_way == 0 or self.failures == 0)

    def passed(self) -> None:
        """The backend took or judged an event: it works."""
        self.failures = 0
        self.open_until = 0.0
        self.passes += 1

    def failed(self, now: float, why: Meaning, *, asked_seconds: float | None) -> None:
        """The backend did not work; a single failing answer may still be the event's own fault."""
        self.failures += 1
        if why is Meaning.FAILING and self.failures < _SUSPICIOUS_FAILURES:
            return
        delay = self.backoff.delay(self.failures) if asked_seconds is None else asked_seconds
        self.open_until = max(self.open_until, now + delay)

    def try_now(self) -> None:
        """Forgets the delay: the next request may start at once."""
        self.open_until = 0.0
