"""What a process keeps in mind of one (contract, check), so that checking never waits for the store."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from floe_core.manifest.models import SeverityThresholds
from floe_monitor.alerts.episodes import Episode, Step, advance
from floe_monitor.checks.availability import Ping, UptimeHistory
from floe_monitor.checks.field_ids import FieldIds
from floe_monitor.checks.model import Rules, Verdict
from floe_monitor.store.records import PastState


@dataclass(slots=True)
class Memory:
    """Open episodes, recent breaches, uptime and field ids of one (contract, check); restored from the store."""

    episodes: dict[str | None, Episode] = field(default_factory=dict)
    broken_at: dict[str | None, list[datetime]] = field(default_factory=dict)
    uptime: UptimeHistory = field(default_factory=UptimeHistory)
    field_ids: FieldIds = field(default_factory=FieldIds)

    @classmethod
    def restored(cls, past: PastState, *, holds_for: timedelta) -> "Memory":
        """What the store remembers; `holds_for` as in `UptimeHistory.with_ping`."""
        memory = cls(episodes={episode.element: episode for episode in past.open_episodes}, field_ids=past.field_ids)
        for element, moment in past.broken_at:
            memory.broken_at.setdefault(element, []).append(moment)
        for at, up in past.pings:
            memory.uptime = memory.uptime.with_ping(Ping(at, up), holds_for=holds_for)
        return memory

    def rules(self, thresholds: SeverityThresholds, clock_skew: timedelta, now: datetime) -> Rules:
        """The platform's rules, with how often each promise broke lately (the present breach included)."""
        since = now - timedelta(hours=thresholds.critical_window_hours)
        for element, moments in self.broken_at.items():
            self.broken_at[element] = [moment for moment in moments if moment >= since]
        return Rules(thresholds, clock_skew, {element: self._breaches(element) for element in self.broken_at})

    def _breaches(self, element: str | None) -> int:
        episode = self.episodes.get(element)
        goes_on = episode is not None and episode.broken_at is not None
        return max(1, len(self.broken_at[element]) + (0 if goes_on else 1))

    def forget(self, episode: UUID) -> None:
        """Lets go of an episode that was closed elsewhere."""
        self.episodes = {element: known for element, known in self.episodes.items() if known.id != episode}

    def follow(self, verdict: Verdict, at: datetime) -> tuple[Step, ...]:
        """Advances the episodes by a verdict and keeps what it learned; returns the steps."""
        self.field_ids = verdict.learned or self.field_ids
        return tuple(self._advance_all(verdict, at))

    def _advance_all(self, verdict: Verdict, at: datetime) -> Iterable[Step]:
        for outcome in verdict.outcomes:
            before = self.episodes.get(outcome.element)
            step = advance(before, outcome, at)
            if step is None:
                continue
            episode = step.episode
            if episode.broken_at is not None and (before is None or before.broken_at is None):
                self.broken_at.setdefault(outcome.element, []).append(episode.broken_at)
            if episode.closed_at is None:
                self.episodes[outcome.element] = episode
            else:
                self.episodes.pop(outcome.element, None)
            yield step
