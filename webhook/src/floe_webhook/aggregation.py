"""Equal announcements become one series, and a series is written rarely: what is due, and what has to wait.

| bound                          | what happens beyond it                                             |
|--------------------------------|--------------------------------------------------------------------|
| writes of a namespace, in all  | a token bucket each; the series waits, its count grows             |
| writes of one series           | again after `repeat_seconds` at the earliest                       |
| waiting                        | after `give_up_seconds` what could not be written is dropped       |
| series                         | the one that was quiet for longest goes; if none is quiet, the new |

Times are seconds of a monotonic clock, which comes from outside.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from floe_webhook.announcements import Announcement

_LOOKED_AT = 16
"""Series that are looked at for a quiet one when there is no room: a bound on what one announcement costs."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is written.

    Attributes:
        repeat_seconds: Between two writes of one series.
        give_up_seconds: How long a series may wait for a token.
        forget_seconds: How long a series is remembered after its last announcement; the API server keeps Events for an
            hour by default.
    """

    series: int = 1024
    repeat_seconds: float = 30.0
    give_up_seconds: float = 600.0
    forget_seconds: float = 3600.0
    namespace_burst: float = 10.0
    namespace_per_second: float = 0.1
    burst: float = 50.0
    per_second: float = 2.0


@dataclass(slots=True)
class TokenBucket:
    """So many at once, so many a second in the long run."""

    burst: float
    per_second: float
    tokens: float
    filled_at: float

    @classmethod
    def full(cls, burst: float, per_second: float, now: float) -> "TokenBucket":
        """A bucket from which nothing was taken yet."""
        return cls(burst, per_second, burst, now)

    def has_token(self, now: float) -> bool:
        """Whether one could be taken."""
        if now > self.filled_at:
            self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.per_second)
            self.filled_at = now
        return self.tokens >= 1.0

    def take(self) -> None:
        """Takes one; there has to be one."""
        self.tokens -= 1.0


@dataclass(slots=True)
class Series:
    """Equal announcements.

    Attributes:
        count: How often it was announced.
        told: How often the Event says; 0 before there is one.
        waiting_since: When the first announcement came that the Event does not count; None if it counts all.
    """

    announcement: Announcement
    first_at: float
    last_at: float
    count: int = 1
    told: int = 0
    written_at: float | None = None
    waiting_since: float | None = None


class Aggregation:
    """The series that are known."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._series: OrderedDict[tuple[str, ...], Series] = OrderedDict()
        self._all = TokenBucket.full(limits.burst, limits.per_second, now)
        self._namespaces: dict[str, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._series)

    def __iter__(self) -> Iterator[Series]:
        return iter(self._series.values())

    def note(self, announcement: Announcement, now: float) -> bool:
        """Takes an announcement; False if there is no room for it."""
        key = _key(announcement)
        series = self._series.get(key)
        if series is None:
            if len(self._series) >= self._limits.series and not self._make_room():
                return False
            self._series[key] = Series(announcement, now, now, waiting_since=now)
            return True
        series.announcement = announcement  # the newest says best through what the workload can be found
        series.count += 1
        series.last_at = now
        if series.waiting_since is None:
            series.waiting_since = now
        self._series.move_to_end(key)
        return True

    def due(self, now: float) -> Iterator[Series]:
        """What is to be written now, the longest waiting first; each one given has taken its tokens."""
        waiting = [series for series in self._series.values() if series.waiting_since is not None]
        for series in sorted(waiting, key=lambda one: one.waiting_since or 0.0):
            if series.written_at is not None and now - series.written_at < self._limits.repeat_seconds:
                continue
            bucket = self._bucket(series.announcement.subject.namespace, now)
            if not self._all.has_token(now):
                return
            if bucket.has_token(now):
                self._all.take()
                bucket.take()
                yield series

    def written(self, series: Series, count: int, now: float) -> None:
        """The Event now says `count`; what came meanwhile still waits."""
        series.told, series.written_at = count, now
        series.waiting_since = None if series.count == count else now

    def drop(self, series: Series) -> int:
        """Gives a series up, as nobody can be told; says how many announcements are lost."""
        self._series.pop(_key(series.announcement), None)
        return series.count - series.told

    def tidy(self, now: float) -> int:
        """Forgets what is over and gives up what waited too long; says how many announcements are lost."""
        limits, lost = self._limits, 0
        for series in list(self._series.values()):
            if series.waiting_since is None:
                if now - series.last_at >= limits.forget_seconds:
                    self.drop(series)
            elif now - series.waiting_since >= limits.give_up_seconds:
                lost += self.drop(series)
        living = {series.announcement.subject.namespace for series in self._series.values()}
        for namespace in self._namespaces.keys() - living:
            bucket = self._namespaces[namespace]
            if bucket.has_token(now) and bucket.tokens >= bucket.burst:
                del self._namespaces[namespace]
        return lost

    def _make_room(self) -> bool:
        for key, series in islice(self._series.items(), _LOOKED_AT):
            if series.waiting_since is None:
                del self._series[key]
                return True
        return False

    def _bucket(self, namespace: str, now: float) -> TokenBucket:
        limits = self._limits
        if (bucket := self._namespaces.get(namespace)) is None:
            bucket = TokenBucket.full(limits.namespace_burst, limits.namespace_per_second, now)
            self._namespaces[namespace] = bucket
        return bucket


def _key(announcement: Announcement) -> tuple[str, ...]:
    subject = announcement.subject
    return (subject.namespace, subject.kind, subject.name, announcement.reason, announcement.message)
