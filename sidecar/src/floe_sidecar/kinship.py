"""Which runs came through this relay, and whether the pod's run is their parent; in memory, and bounded.

A run's parent is decided by its first event, because clients tell it there alone and a later event without one must not
put another in its place. What came through an earlier process is not remembered: then only a START decides.
"""

from __future__ import annotations

from collections.abc import Iterable

MOST_RUNS = 1024
"""Runs that are remembered: some hundred KiB. One more, and the oldest is forgotten."""


class Kinship:
    """The runs of one pod. `is_whole` says whether every run that ever came is remembered."""

    def __init__(self, *, is_whole: bool = True, limit: int = MOST_RUNS) -> None:
        self.is_whole = is_whole
        self._limit = limit
        self._runs: dict[str, bool | None] = {}

    def remember(self, runs: Iterable[str]) -> None:
        """Runs of an earlier process, oldest first; whose children they are is not known any more."""
        self.is_whole = False
        for run in list(runs)[-self._limit :]:
            self._runs.setdefault(run, None)

    def holds(self, run: str) -> bool:
        """Whether the run came through here, and is remembered."""
        return run in self._runs

    def decide(self, run: str, *, has_another: bool, begins: bool) -> bool:
        """Whether the pod's run is this run's parent.

        Args:
            run: Its id.
            has_another: Whether the event names another parent.
            begins: Whether the event is its START.
        """
        known = self._runs.get(run)
        if known is None:
            known = begins or self.is_whole
        is_child = known and not has_another
        if run not in self._runs and len(self._runs) >= self._limit:
            del self._runs[next(iter(self._runs))]
            self.is_whole = False
        self._runs[run] = is_child
        return is_child
