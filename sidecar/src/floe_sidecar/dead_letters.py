"""Events that nobody takes: counted and logged where they end, on whichever road."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from floe_sidecar.logs import log
from floe_sidecar.metrics import Outgoing
from floe_sidecar.records import DeadLetter, Queued

_LOGGED_CHARACTERS = 500


def buried(events: Iterable[Queued], reason: str, detail: str, metrics: Outgoing) -> list[tuple[DeadLetter, bytes]]:
    """What the events have become, as `Writer.settle` takes it.

    Args:
        events: Those that nobody takes.
        reason: A code such as `status_400`, for all of them.
        detail: What a person wants to know besides; holds no credential.
        metrics: Count each one.
    """
    dead = []
    for event in events:
        metrics.dead.add(value=reason)
        log(
            logging.ERROR,
            "an event became a dead letter",
            run=event.run,
            sequence=event.sequence,
            reason=reason,
            detail=detail[:_LOGGED_CHARACTERS],
        )
        dead.append((DeadLetter(event.sequence, reason, detail), event.digest))
    return dead
