"""Observers and senders that remember, and clocks that a test turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from floe_webhook.announcements import Announcement
from floe_webhook.cluster.ended_pods import Unsent
from floe_webhook.cluster.events import Unwritten
from floe_webhook.cluster.eviction import Eviction
from floe_webhook.cluster.lineage_sender import Outcome
from floe_webhook.endings import End, SidecarReport
from floe_webhook.missed import Verdict


@dataclass(slots=True)
class Noted:
    """An observer of everything, an announcer and a `Progress`."""

    announced: list[Announcement] = field(default_factory=list)
    written: int = 0
    lost: dict[Unwritten, int] = field(default_factory=dict)
    missed: Mapping[Verdict, int] = field(default_factory=dict)
    rounds: int = 0
    evictions: list[Eviction] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    reports: list[Unsent] = field(default_factory=list)
    waited: int = 0
    kept: str = ""

    def announce(self, announcement: Announcement) -> None:
        self.announced.append(announcement)

    def event_written(self) -> None:
        self.written += 1

    def event_lost(self, reason: Unwritten, announcements: int) -> None:
        self.lost[reason] = self.lost.get(reason, 0) + announcements

    def looked(self, found: Mapping[Verdict, int]) -> None:
        self.rounds += 1
        self.missed = dict(found)

    def counted(self, found: Mapping[Verdict, int]) -> None:
        self.missed = dict(found)

    def evicted(self, result: Eviction) -> None:
        self.evictions.append(result)

    def ended(self, end: End) -> None:
        self.ends.append(end)

    def sent(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def waiting(self, pods: int) -> None:
        self.waited = max(self.waited, pods)

    def reported(self, unsent: Unsent, _: SidecarReport | None) -> None:
        self.reports.append(unsent)

    async def read(self) -> str:
        return self.kept

    async def write(self, resource_version: str) -> None:
        self.kept = resource_version


@dataclass(slots=True)
class Receiver:
    """A sender that everything is taken from at once."""

    events: list[bytes] = field(default_factory=list)

    async def send(self, events: Sequence[bytes]) -> Outcome:
        self.events += events
        return Outcome.SENT


@dataclass(slots=True)
class Clock:
    """Seconds that pass when a test says so."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds
