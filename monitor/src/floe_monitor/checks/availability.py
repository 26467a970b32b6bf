"""Availability (FR-019 to FR-022): how long the source answered within the last 24 hours.

Time counts, not samples: of 288 pings a day one lost one would already be 0.35 %. A state holds from one observation to
the next; time that nobody observed counts neither way. A failed ping is asked again before it counts
(`floe_monitor.probes.availability`).

| source now | share of the window       | status | finding                                                      |
|------------|---------------------------|--------|--------------------------------------------------------------|
| up         | as promised               | pass   | info or warning from 80 % / 90 % of the allowed downtime     |
| down       | as promised, or not known | fail   | warning: nobody can use it, the promise still holds          |
| down       | below the promise         | fail   | error, critical above the count                              |
| up         | below the promise         | fail   | error or critical, not ongoing: the outage's episode closes  |
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from floe_core.manifest.models import CheckIntervals
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_monitor.checks.model import Check, CheckStatus, Finding, Outcome, Rules, Verdict
from floe_monitor.checks.severity import severity_of
from floe_monitor.contracts.model import Contract

WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Ping:
    """One answer of a source, or its absence."""

    at: datetime
    up: bool
    reason: str = ""
    latency_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which the source was in one state, from the first observation to the last one."""

    start: datetime
    end: datetime
    up: bool


@dataclass(frozen=True, slots=True)
class UptimeHistory:
    """What is known of a source's last 24 hours, as spans of one state: small, however often one asks.

    Attributes:
        failures: Failed pings in a row up to now.
        last_failure: The newest failed ping.
    """

    spans: tuple[Span, ...] = ()
    failures: int = 0
    last_failure: Ping | None = None

    def with_ping(self, ping: Ping, *, holds_for: timedelta) -> "UptimeHistory":
        """The history with one more observation.

        Args:
            ping: Later than all before; an earlier one changes nothing (a clock was set back).
            holds_for: Longest time for which the previous state is taken to have lasted; beyond it nobody looked.
        """
        if self.spans and ping.at < self.spans[-1].end:
            return self
        spans = list(_window(self.spans, ping.at))
        if spans and ping.at - spans[-1].end <= holds_for:
            spans[-1] = replace(spans[-1], end=ping.at)
        if not spans or spans[-1].up != ping.up or spans[-1].end != ping.at:
            spans.append(Span(ping.at, ping.at, ping.up))
        if ping.up:
            return replace(self, spans=tuple(spans), failures=0)
        return UptimeHistory(tuple(spans), self.failures + 1, ping)

    def ratio(self, now: datetime) -> float | None:
        """Share of the observed time within the window in which the source was up; None if no time was observed."""
        spans = tuple(_window(self.spans, now))
        observed = _total(spans)
        if not observed:
            return None
        return _total(span for span in spans if span.up) / observed

    def observed(self, now: datetime) -> timedelta:
        """How much of the window was observed."""
        return _total(_window(self.spans, now))

    @property
    def is_up(self) -> bool:
        """The newest state; true if there is none."""
        return not self.spans or self.spans[-1].up


def _window(spans: Iterable[Span], now: datetime) -> Iterable[Span]:
    start = now - WINDOW
    return (replace(span, start=max(span.start, start)) for span in spans if span.end >= start)


def _total(spans: Iterable[Span]) -> timedelta:
    return sum((span.end - span.start for span in spans), timedelta())


@dataclass(frozen=True, slots=True)
class AvailabilityFacts:
    """The newest ping and the history with it.

    Attributes:
        holds_for: As in `UptimeHistory.with_ping`.
    """

    ping: Ping
    history: UptimeHistory
    holds_for: timedelta | None = None


class AvailabilityCheck(Check[AvailabilityFacts]):
    """Compares the share of uptime with the promise."""

    type: ClassVar[ViolationType] = ViolationType.AVAILABILITY

    def is_promised(self, contract: Contract) -> bool:
        """Whether the contract promises availability."""
        return contract.availability is not None

    def interval(self, intervals: CheckIntervals) -> timedelta:
        """`availability_minutes`."""
        return timedelta(minutes=intervals.availability_minutes)

    def judge(self, contract: Contract, facts: AvailabilityFacts, rules: Rules) -> Verdict:
        """One outcome, about the source as a whole."""
        promised = contract.availability.ratio if contract.availability else 1.0
        ratio = facts.history.ratio(facts.ping.at)
        outcome = _judge(promised, ratio, facts, rules)
        details = {
            "consecutive_failures": facts.history.failures,
            "observed_seconds": facts.history.observed(facts.ping.at).total_seconds(),
            "latency_seconds": facts.ping.latency_seconds,
            "failure_reason": facts.ping.reason or None,
            "up": facts.ping.up,
            "holds_for_seconds": facts.holds_for.total_seconds() if facts.holds_for else None,
        }
        return Verdict((outcome,), details)


def _judge(promised: float, ratio: float | None, facts: AvailabilityFacts, rules: Rules) -> Outcome:
    severity = severity_of(_used_share(promised, ratio), rules.recent_episodes.get(None, 1), rules.thresholds)
    is_broken = severity is not None and severity.rank >= ViolationSeverity.ERROR.rank
    if not facts.ping.up and not is_broken:
        severity = ViolationSeverity.WARNING
    status = CheckStatus.FAIL if is_broken or not facts.ping.up else CheckStatus.PASS
    finding = None
    if severity is not None:
        finding = Finding(
            severity,
            _message(promised, ratio, facts.ping),
            expected=f"{_percent(promised)} of 24 h",
            actual="unknown" if ratio is None else _percent(ratio),
            ongoing=not facts.ping.up or not is_broken,
        )
    return Outcome(status, None, finding, ratio, promised, "" if facts.ping.up else facts.ping.reason)


def _used_share(promised: float, ratio: float | None) -> float:
    """Which part of the allowed downtime is used; infinite if none is allowed."""
    down = 0.0 if ratio is None else 1 - ratio
    allowed = 1 - promised
    if down <= 0:
        return 0.0
    return down / allowed if allowed > 0 else float("inf")


def _message(promised: float, ratio: float | None, ping: Ping) -> str:
    share = "nothing is known yet of" if ratio is None else f"it was reachable {_percent(ratio)} of"
    state = "The source can be reached" if ping.up else f"The source cannot be reached ({ping.reason or 'no reason'})"
    return f"{state}; {share} the observed last 24 h, {_percent(promised)} is promised."


def _percent(ratio: float) -> str:
    return f"{ratio * 100:.3f}".rstrip("0").rstrip(".") + " %"
