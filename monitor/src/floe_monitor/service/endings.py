"""Which episodes of this replica's contracts have lost their promise; see `floe_monitor.store.endings`.

A run that began under the contract's older form may still open an episode of a promise that is gone, so a contract that
has changed is looked at for a while.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_monitor.contracts.model import Contract, ContractId
from floe_monitor.service.watches import WATCHES
from floe_monitor.store.endings import OpenEpisode, end_unpromised, end_unwatched, open_episodes

_log = structlog.get_logger(__name__)
_CHECKS = {watch.check.type.value: watch.check for watch in WATCHES}


@dataclass(slots=True)
class Endings:
    """Closes what nobody promises any more.

    Attributes:
        linger: How long a changed contract is looked at: longer than any of its runs.
    """

    engine: AsyncEngine
    linger: timedelta
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _until: dict[ContractId, datetime] = field(default_factory=dict)

    def changed(self, contracts: Collection[ContractId]) -> None:
        """These contracts are new here, or have changed."""
        self._until |= dict.fromkeys(contracts, self.clock() + self.linger)

    async def end(self, held: Mapping[ContractId, Contract]) -> list[OpenEpisode]:
        """Closes episodes without a promise; returns those of contracts that this replica holds.

        Raises:
            SQLAlchemyError, OSError: The store is away.
        """
        now = self.clock()
        unwatched = await end_unwatched(self.engine, now)
        looked_at = [contract for contract in self._until if contract in held]
        episodes = await open_episodes(self.engine, looked_at)
        gone = [episode for episode in episodes if not _is_promised(episode, held[episode.contract])]
        unpromised = await end_unpromised(self.engine, [episode.id for episode in gone], now)
        if unwatched or unpromised:
            _log.info("episodes.ended", unwatched=unwatched, unpromised=unpromised)
        self._until = {contract: until for contract, until in self._until.items() if contract in held and until > now}
        return gone


def _is_promised(episode: OpenEpisode, contract: Contract) -> bool:
    check = _CHECKS.get(episode.check)
    return check is not None and check.promises(contract, episode.element)
