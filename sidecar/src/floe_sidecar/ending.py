"""The end of a relay: where what waits goes while there is time, and what is told of the rest.

| backend | what happens |
|---|---|
| takes events | it gets them, for at most half of the time that is left |
| was away before the end began | the gateway is asked first |
| takes nothing for a while, or goes away | the rest goes to the gateway |
| is away, and the gateway too | both are tried in turn until the time is over |

Once the gateway has confirmed a batch, nothing goes to the backend any more: it would overtake its own run.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import msgspec

from floe_sidecar.delivery import Delivery
from floe_sidecar.handover import Handover
from floe_sidecar.logs import log
from floe_sidecar.metrics import Clock
from floe_sidecar.retries import Backoff

_BACKEND_SHARE = 0.5
_BETWEEN_TRIES = Backoff(0.2, 1.0)


class Ending:
    """Empties the spool at the end, as far as backend, gateway and time allow."""

    def __init__(self, delivery: Delivery, handover: Handover | None, *, patience_seconds: float, clock: Clock) -> None:
        self._delivery = delivery
        self._handover = handover
        self._patience_seconds = patience_seconds
        self._clock = clock

    async def empty(self, *, within_seconds: float) -> None:
        """Returns when nothing waits any more, or when the time is over."""
        if self._handover is None:
            await self._delivery.drain(within_seconds=within_seconds)
        else:
            await self._empty_by(self._handover, self._clock() + within_seconds)

    async def _empty_by(self, handover: Handover, deadline: float) -> None:
        was_away = self._delivery.is_away
        failures = 0
        while (left := deadline - self._clock()) > 0:
            if not (handover.begun or (was_away and failures == 0)):
                share = left * _BACKEND_SHARE
                if await self._delivery.drain(within_seconds=share, patience_seconds=self._patience_seconds):
                    return
            await self._delivery.stop()
            if await handover.run(deadline=deadline):
                return
            failures += 1
            if not handover.begun:
                self._delivery.start()
            left = deadline - self._clock()
            await asyncio.sleep(max(0.0, min(left, _BETWEEN_TRIES.delay(failures))))


def tell(file: Path, message: dict[str, object]) -> None:
    """Writes the termination message, where there is a file for it: a kubelet makes one for each container."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    except OSError as error:
        log(logging.WARNING, "the termination message cannot be written", file=str(file), reason=str(error))
        return
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(msgspec.json.encode(message))
