"""Many runs' events in one request, where the backend takes arrays and answers for each (OpenLineage 2.0.2). Pure.

A batch holds one event of a run at most: were the first of two refused and the second taken, their order would be lost.

| answer to the batch | what it means |
|---|---|
| 204, or 2xx without a list of failures | all are delivered |
| 2xx with `failed_events` | these failed; `retriable` ones are sent again, each alone; others are dead letters |
| 404, 405, 501 | the backend has no such endpoint: no batches any more, each event alone |
| another 4xx, 5xx, or a list of failures that is not clear | one of them may be the reason: each is sent alone |
| none | all wait, then each is sent alone: the batch may be what the backend cannot get through in time |
| 401, 403, 407, 429, 503 | as for a single event: all wait |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from floe_sidecar.events import digest
from floe_sidecar.records import Queued
from floe_sidecar.retries import Answer, Meaning, meaning

MOST_EVENTS = 100
MOST_BYTES = 512 * 1024
ANSWER_BYTES = 256 * 1024
"""Of an answer's body, with what the backend says of each event."""

_NO_ENDPOINT = frozenset({404, 405, 501})


class Verdict(Enum):
    """What is to be done with a whole batch."""

    SETTLED = "each event has an answer of its own"
    ALONE = "each event has to be sent alone"
    NO_BATCHES = "each event has to be sent alone, and all later ones"
    WAIT = "all wait"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the backend did not take one event of a batch."""

    index: int
    reason: str
    retriable: bool


class _FailedEvent(msgspec.Struct):
    index: int
    reason: object = ""
    retriable: bool = False


class _Summary(msgspec.Struct):
    failed_events: list[_FailedEvent] = []


_summary = msgspec.json.Decoder(_Summary)


def encode(bodies: Sequence[bytes]) -> bytes:
    """The request's body: the events as they are."""
    return b"[" + b",".join(bodies) + b"]"


def key(events: Sequence[Queued]) -> str:
    """The batch's idempotency key: the same for the same events in the same order."""
    return digest(b"".join(event.digest for event in events)).hex()


def verdict(answer: Answer, events: int) -> Verdict:
    """What an answer to a batch of so many events, more than one, means as a whole."""
    if answer.status in _NO_ENDPOINT:
        return Verdict.NO_BATCHES
    match meaning(answer):
        case Meaning.DELIVERED:
            found = failures(answer)
            # Who counts otherwise means other events than those that would be taken for failed.
            is_clear = found is not None and all(0 <= failure.index < events for failure in found)
            return Verdict.SETTLED if is_clear else Verdict.ALONE
        case Meaning.REJECTED | Meaning.FAILING:
            return Verdict.ALONE
        case _:
            return Verdict.WAIT


def failures(answer: Answer) -> list[Failure] | None:
    """What a 2xx answer says of single events; None if it says something that cannot be read."""
    if answer.status == 204 or not answer.content.strip():  # noqa: PLR2004 - No Content
        return []
    try:
        told = _summary.decode(answer.content).failed_events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Words of a backend that is content; a list of failures is what nothing may be guessed about.
        return None if b"failed_events" in answer.content or len(answer.content) >= ANSWER_BYTES else []
    return [Failure(one.index, str(one.reason), one.retriable) for one in told]
