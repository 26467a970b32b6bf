"""Episodes: one trouble of one promise from its first finding to its end. People are told of changes, not of samples.

    (none) --finding--> open --heavier finding--> open, escalated --nothing found--> closed

| open episode | outcome                      | step                    |
|--------------|------------------------------|-------------------------|
| none         | ongoing finding              | opened                  |
| open         | heavier ongoing finding      | escalated               |
| open         | ongoing finding, not heavier | none; the last text is kept |
| open         | pass without a finding, or a finding that is over | closed |
| any          | unknown, error or skipped without a finding       | none: silence is no recovery |

An episode's severity never falls while it is open.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

from floe_core.plugin_interfaces.alert_channel import AlertKind, ViolationSeverity
from floe_monitor.checks.model import CheckStatus, Finding, Outcome


class EpisodeState(StrEnum):
    """Where an episode stands."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Episode:
    """One trouble of one promise.

    Attributes:
        element: The promise within the check; None if the check has one only.
        severity: The heaviest so far.
        broken_at: When the promise was first broken in it; None while it only came near.
    """

    id: UUID
    element: str | None
    severity: ViolationSeverity
    opened_at: datetime
    message: str
    broken_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def state(self) -> EpisodeState:
        """Open until it is closed."""
        return EpisodeState.OPEN if self.closed_at is None else EpisodeState.CLOSED


@dataclass(frozen=True, slots=True)
class Step:
    """What an outcome did to an episode.

    Attributes:
        told: What people are told; None if nothing has changed for them.
        before: The severity before an escalation.
    """

    episode: Episode
    told: AlertKind | None
    outcome: Outcome
    before: ViolationSeverity | None = None


def advance(episode: Episode | None, outcome: Outcome, at: datetime) -> Step | None:
    """The step that an outcome makes, or None if there is no episode and none begins.

    Args:
        episode: The open episode of the outcome's element.
        outcome: What the check found.
        at: When.
    """
    finding = outcome.finding
    if finding is not None and finding.ongoing:
        return _opened(finding, outcome, at) if episode is None else _continued(episode, finding, outcome, at)
    if episode is None:
        return None
    if finding is not None or outcome.status is CheckStatus.PASS:
        return Step(replace(episode, closed_at=at), AlertKind.RESOLVED, outcome)
    return None


def _opened(finding: Finding, outcome: Outcome, at: datetime) -> Step:
    broken_at = at if is_breach(finding.severity) else None
    episode = Episode(uuid4(), outcome.element, finding.severity, at, finding.message, broken_at)
    return Step(episode, AlertKind.OPENED, outcome)


def _continued(episode: Episode, finding: Finding, outcome: Outcome, at: datetime) -> Step:
    heavier = finding.severity.rank > episode.severity.rank
    changed = replace(
        episode,
        message=finding.message,
        severity=finding.severity if heavier else episode.severity,
        broken_at=episode.broken_at or (at if is_breach(finding.severity) else None),
    )
    return Step(changed, AlertKind.ESCALATED if heavier else None, outcome, episode.severity)


def is_breach(severity: ViolationSeverity) -> bool:
    """Whether the promise is broken, not only near to it."""
    return severity.rank >= ViolationSeverity.ERROR.rank
