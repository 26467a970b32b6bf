"""Runs that wait to be stored, oldest first, in little memory: an outage of the store may last minutes under load.

    oldest ─▶ [ head ] [ packed ][ packed ] … [ tail ] ◀─ newest

What waits behind a few hundred others is packed: runs repeat each other, and a packed one takes about a tenth.
"""

import pickle
import zlib
from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from floe_monitor.contracts.model import Contract, ContractId
from floe_monitor.store.records import CheckRun

_PACK: Final = 500
_LEVEL: Final = 1  # of compression: the fastest
# Stands in packed runs for their contract, which thousands of runs share.
_SOME_CONTRACT: Final = Contract(ContractId.of("-", "-", "-", "0.0.0"))


@dataclass(frozen=True, slots=True)
class _Packed:
    runs: int
    content: bytes


class Backlog:
    """A bounded queue of runs.

    Args:
        capacity: How many runs it holds; beyond it the oldest go.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._head: deque[CheckRun] = deque()
        self._packed: deque[_Packed] = deque()
        self._tail: deque[CheckRun] = deque()
        self._length = 0
        # Packed runs name their contract, which stays here as long as any of them does.
        self._contracts: dict[int, Contract] = {}

    def __len__(self) -> int:
        return self._length

    def put(self, run: CheckRun) -> int:
        """Takes a run; returns how many of the oldest went for it."""
        dropped = 0
        while self._length >= self._capacity:
            dropped += self._drop_oldest()
        self._tail.append(run)
        self._length += 1
        if len(self._tail) >= 2 * _PACK:
            self._packed.append(self._pack([self._tail.popleft() for _ in range(_PACK)]))
        return dropped

    def oldest(self, number: int) -> list[CheckRun]:
        """The oldest runs, at most so many; they stay."""
        if not self._head:
            if self._packed:
                self._head.extend(self._unpack(self._packed.popleft()))
            else:
                self._head, self._tail = self._tail, self._head
        if not self._packed:
            self._contracts.clear()
        return [self._head[index] for index in range(min(number, len(self._head)))]

    def discard(self, runs: Collection[UUID]) -> None:
        """Takes out runs that `oldest` gave; some may have been dropped meanwhile."""
        while self._head and self._head[0].id in runs:
            self._head.popleft()
            self._length -= 1

    def keep(self, wanted: Callable[[CheckRun], bool]) -> int:
        """Takes out all that are not wanted; returns how many."""
        before = self._length
        packed, self._packed = self._packed, deque()
        kept = [run for run in self._head if wanted(run)]
        for pack in packed:
            kept += [run for run in self._unpack(pack) if wanted(run)]
        kept += [run for run in self._tail if wanted(run)]
        self._head.clear()
        self._tail.clear()
        self._length = 0
        for run in kept:
            self.put(run)
        return before - self._length

    def _drop_oldest(self) -> int:
        if self._head:
            self._head.popleft()
            dropped = 1
        elif self._packed:
            dropped = self._packed.popleft().runs
        else:
            self._tail.popleft()
            dropped = 1
        self._length -= dropped
        return dropped

    def _pack(self, runs: list[CheckRun]) -> _Packed:
        self._contracts |= {id(run.contract): run.contract for run in runs}
        bare = [(id(run.contract), replace(run, contract=_SOME_CONTRACT)) for run in runs]
        return _Packed(len(runs), zlib.compress(pickle.dumps(bare, pickle.HIGHEST_PROTOCOL), _LEVEL))

    def _unpack(self, packed: _Packed) -> Iterable[CheckRun]:
        # What this process has packed itself, never anything else.
        bare: list[tuple[int, CheckRun]] = pickle.loads(zlib.decompress(packed.content))  # noqa: S301 - see above
        return [replace(run, contract=self._contracts[identity]) for identity, run in bare]
