"""Sends OpenLineage events to one address over HTTP, and does not give up before they are taken.

| answer                             | what follows                                                            |
|------------------------------------|-------------------------------------------------------------------------|
| 2xx                                | the next event                                                          |
| none, 401, 403, 408, 425, 429, 5xx | the same again after a random delay that doubles, or after Retry-After  |
| 500, thirty times in a row         | the receiver fails at this event: it is given up, and the next one follows |
| anything else                      | the same: it will never be taken                                        |
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from pathlib import Path

import aiohttp
import structlog

POISON_ATTEMPTS = 30
"""Answers 500 to one event, some minutes of them, after which it is given up."""

ENDPOINT = "api/v1/lineage"
FIRST_DELAY_SECONDS, LONGEST_DELAY_SECONDS, LONGEST_RETRY_AFTER_SECONDS = 0.5, 30.0, 300.0

_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_OK = range(200, 300)
_SERVER_ERRORS = 500
_FAILS_AT_IT = 500
_TRY_AGAIN = frozenset({401, 403, 408, 425, 429})

_log = structlog.get_logger(__name__)


class Outcome(StrEnum):
    """What became of events."""

    SENT = "sent"
    REFUSED = "refused"
    NOWHERE = "nowhere"
    UNNAMED = "unnamed"
    UNREADABLE = "unreadable"


class LineageSender:
    """Posts events, one after another.

    Args:
        session: Whose connections are used.
        origin: Where to at the moment; None for nowhere.
        token_file: Holds a bearer token; read for each attempt, so a new one counts at once. None for no token.
        retried: Told each attempt that failed.
        sleep: How to wait.
        uniform: Source of randomness.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        origin: Callable[[], str | None],
        *,
        token_file: Path | None = None,
        retried: Callable[[], None] = lambda: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._session = session
        self._origin = origin
        self._token_file = token_file
        self._retried = retried
        self._sleep = sleep
        self._uniform = uniform

    async def send(self, events: Sequence[bytes]) -> Outcome:
        """Sends the events in their order; returns when each is taken or refused for good, however long that takes."""
        outcome = Outcome.SENT
        for event in events:
            if not await self._send(event):
                outcome = Outcome.REFUSED
            if self._origin() is None:
                return Outcome.NOWHERE
        return outcome

    async def _send(self, event: bytes) -> bool:
        """Whether it was taken."""
        delay, failures = FIRST_DELAY_SECONDS, 0
        while (origin := self._origin()) is not None:
            status, retry_after = await self._post(origin, event)
            if status in _OK:
                return True
            failures = failures + 1 if status == _FAILS_AT_IT else 0
            is_refused = status and status not in _TRY_AGAIN and status < _SERVER_ERRORS
            if is_refused or failures >= POISON_ATTEMPTS:
                _log.error("an event of a pod's run is refused", status=status)
                return False
            _log.warning("an event of a pod's run is not taken now", status=status)
            self._retried()
            await self._sleep(self._uniform(0.0, delay) if retry_after is None else retry_after)
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)
        return False

    async def _post(self, origin: str, event: bytes) -> tuple[int, float | None]:
        """Status, 0 for no answer, and the seconds after which the receiver wants to be asked again."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": hashlib.sha256(event).hexdigest()}
        if token := await asyncio.to_thread(self._token):
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._session.post(
                f"{origin.rstrip('/')}/{ENDPOINT}", data=event, headers=headers, timeout=_TIMEOUT, allow_redirects=False
            ) as response:
                return response.status, _seconds(response.headers.get("Retry-After", ""))
        except (TimeoutError, aiohttp.ClientError, OSError):
            return 0, None

    def _token(self) -> str:
        try:
            return self._token_file.read_text(encoding="ascii").strip() if self._token_file is not None else ""
        except (OSError, UnicodeDecodeError):
            return ""  # the receiver will say that it is missing, and it may come


def _seconds(retry_after: str) -> float | None:
    """Seconds of a Retry-After; a date (RFC 9110 §10.2.3) is left to our own delay."""
    return min(float(retry_after), LONGEST_RETRY_AFTER_SECONDS) if retry_after.isdigit() else None
