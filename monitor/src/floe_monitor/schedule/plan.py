"""Schedule arithmetic: deadlines on a fixed grid per (contract, check).

    deadline(k) = epoch + phase + k * interval,   0 <= phase < interval

The phase comes from a hash of the key, so that checks spread over the interval, a restart and every replica compute the
same deadlines, and a run's length never shifts the next start. The grid is counted in UTC: it knows no daylight saving.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A check that was due while nobody ran is caught up within this time, so that a restart is not a burst.
CATCH_UP = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Timetable:
    """The grid of one (contract, check)."""

    interval: timedelta
    phase: timedelta

    @classmethod
    def of(cls, key: str, interval: timedelta) -> "Timetable":
        """The timetable of a key.

        Raises:
            ValueError: The interval is not positive.
        """
        if interval <= timedelta():
            raise ValueError(f"an interval must be positive, not {interval}")
        return cls(interval, interval * _fraction(key))

    def next_after(self, moment: datetime) -> datetime:
        """The first deadline strictly after a moment."""
        return self._at(self._index(moment) + 1)

    def last_until(self, moment: datetime) -> datetime:
        """The last deadline at or before a moment."""
        return self._at(self._index(moment))

    def missed_between(self, planned: datetime, now: datetime) -> int:
        """How many deadlines after `planned` have passed by `now`: ticks that nobody will run."""
        return max(0, self._index(now) - self._index(planned))

    def first(self, now: datetime, last_run: datetime | None) -> datetime:
        """When to begin: on the grid, or soon if a deadline has passed since the last run (or there was none).

        Args:
            now: The moment at which the check is scheduled.
            last_run: Start of its last run, by whichever process; a restart then neither repeats nor skips.
        """
        if last_run is not None and last_run >= self.last_until(now):
            return self.next_after(now)
        spread = min(CATCH_UP, self.interval) * (self.phase / self.interval)
        return min(now + spread, self.next_after(now))

    def _index(self, moment: datetime) -> int:
        return (moment - _EPOCH - self.phase) // self.interval

    def _at(self, index: int) -> datetime:
        return _EPOCH + self.phase + index * self.interval


def _fraction(key: str) -> float:
    """A number in [0, 1) that depends on the key alone; Python's own hash differs between processes."""
    digest = hashlib.blake2b(key.encode(), digest_size=6).digest()
    return int.from_bytes(digest) / 2**48


def quantile(values: Sequence[float], share: float) -> float:
    """The value that a share (0 to 1) of the values does not exceed; 0 if there are none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
