"""Answers of the API server, each kept for a while and asked for once, however many wait for it.

Bounded: the answers that were used longest ago give way. What was not answered is kept for a while too, so that an API
server that does not answer is not asked anew by each admission.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from floe_certs.api import RefusedError, UnreachableError
from floe_webhook.lookups import Lookup, Result

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

REFUSED_SECONDS = 60.0
"""A right that is missing now is not granted within seconds."""

_log = structlog.get_logger(__name__)

Counted = Callable[[Lookup, Result], None]
"""Counts what came of asking."""


@dataclass(frozen=True, slots=True)
class Kept(Generic[V]):
    """An answer; None if nobody gave one."""

    value: V | None
    until: float


class KeptAnswers(Generic[K, V]):
    """Answers to one kind of question."""

    def __init__(
        self,
        lookup: Lookup,
        ask: Callable[[K], Awaitable[V]],
        counted: Counted,
        *,
        holds_seconds: Callable[[V], float],
        unanswered_seconds: float,
        most: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is kept yet.

        Args:
            lookup: What is asked for, to be counted.
            ask: Asks; raises RefusedError or UnreachableError.
            counted: Counts.
            holds_seconds: How long an answer holds.
            unanswered_seconds: How long it holds that there was none.
            most: Answers that are kept at once.
            monotonic: Seconds that a change of the clock does not move.
        """
        self._lookup = lookup
        self._ask = ask
        self._counted = counted
        self._holds_seconds = holds_seconds
        self._unanswered_seconds = unanswered_seconds
        self._most = most
        self._monotonic = monotonic
        self._kept: OrderedDict[K, Kept[V]] = OrderedDict()
        self._asked: dict[K, asyncio.Future[V | None]] = {}

    def known(self, key: K) -> Kept[V] | None:
        """What is kept; None if it has to be asked for."""
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._monotonic():
            return None
        self._kept.move_to_end(key)
        return kept

    def last(self, key: K) -> V | None:
        """The answer for who has just asked: a busy moment does not make it too old for them; None without one."""
        kept = self._kept.get(key)
        return kept.value if kept is not None else None

    async def get(self, key: K) -> V | None:
        """The answer; None if there is none. Cancelled while it asks, it counts as not answered for all who wait."""
        if (kept := self.known(key)) is not None:
            return kept.value
        if (asked := self._asked.get(key)) is not None:
            return await asyncio.shield(asked)
        asked = self._asked[key] = asyncio.get_running_loop().create_future()
        answer: V | None = None
        seconds, result = self._unanswered_seconds, Result.LATE
        try:
            answer = await self._ask(key)
            seconds, result = self._holds_seconds(answer), Result.ANSWERED
        except RefusedError as error:
            seconds, result = max(REFUSED_SECONDS, seconds), Result.REFUSED
            _log.warning("lookup refused", lookup=self._lookup, reason=str(error))
        except UnreachableError as error:
            result = Result.UNREACHABLE
            _log.warning("lookup without an answer", lookup=self._lookup, reason=str(error))
        finally:
            self._keep(key, Kept(answer, self._monotonic() + seconds))
            del self._asked[key]
            asked.set_result(answer)
            self._counted(self._lookup, result)
        return answer

    def _keep(self, key: K, kept: Kept[V]) -> None:
        self._kept[key] = kept
        self._kept.move_to_end(key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
