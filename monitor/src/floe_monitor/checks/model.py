"""What checks share: states, findings, verdicts, and the interface that a check implements.

A check compares facts with a contract's promise. It knows no clock, no network and no database: a probe
(`floe_monitor.probes`) brings the facts. Adding a check touches its own module, its tests and its page in the docs.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

from floe_core.manifest.models import CheckIntervals, SeverityThresholds
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_monitor.checks.field_ids import FieldIds
from floe_monitor.contracts.model import Contract

FactsT = TypeVar("FactsT")


class CheckStatus(StrEnum):
    """How a check ended; the later, the more it says about the whole check (`CheckStatus.worst`)."""

    PASS = "pass"  # noqa: S105 - a word, not a password
    SKIPPED = "skipped"
    UNKNOWN = "unknown"
    ERROR = "error"
    FAIL = "fail"

    @property
    def sentence(self) -> str:
        """What the state means."""
        return _SENTENCES[self]

    @classmethod
    def worst(cls, states: "tuple[CheckStatus, ...]") -> "CheckStatus":
        """The state of a check whose parts have these; skipped if it has none."""
        order = tuple(cls)
        return max(states, key=order.index, default=cls.SKIPPED)


_SENTENCES = {
    CheckStatus.PASS: "The promise is kept.",
    CheckStatus.SKIPPED: "There was nothing to check, or the previous run had not ended.",
    CheckStatus.UNKNOWN: "The source did not tell, so nothing is claimed about the promise.",
    CheckStatus.ERROR: "The check could not be done as the contract asks; somebody has to change something.",
    CheckStatus.FAIL: "The promise is broken.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that people should know, in names and aggregates only (FR-025).

    Attributes:
        element: The part of the contract that it is about, e.g. `orders.updated_at`.
        ongoing: Whether it holds its episode open; false for a promise that stays broken although its cause is over.
    """

    severity: ViolationSeverity
    message: str
    element: str | None = None
    expected: str | None = None
    actual: str | None = None
    ongoing: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one promise of the check stands.

    Attributes:
        element: As in `Finding`; it names the episode together with the check's type.
        measure: What was measured: seconds of age, share of uptime; None if nothing was.
        threshold: What is promised, in the same unit.
        reason: Why there is no clear answer; empty for pass and fail.
    """

    status: CheckStatus
    element: str | None = None
    finding: Finding | None = None
    measure: float | None = None
    threshold: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of one check run: one outcome per promise.

    Attributes:
        details: For the store; values of JSON types, names and aggregates only.
        learned: Field ids to be remembered for the next run; None if they are as before.
    """

    outcomes: tuple[Outcome, ...]
    details: dict[str, Any] = field(default_factory=dict)
    learned: FieldIds | None = None

    @property
    def status(self) -> CheckStatus:
        """The worst of the outcomes."""
        return CheckStatus.worst(tuple(outcome.status for outcome in self.outcomes))

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, in the order of the promises."""
        return tuple(outcome.finding for outcome in self.outcomes if outcome.finding is not None)

    @property
    def reason(self) -> str:
        """Why there is no clear answer, of the first outcome that says it."""
        return next((outcome.reason for outcome in self.outcomes if outcome.reason), "")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the platform sets for judging.

    Attributes:
        recent_episodes: By element, how many episodes with a broken promise there are in the window of
            `thresholds.critical_window_hours` if the promise is broken now, the present one included; 1 if not given.
    """

    thresholds: SeverityThresholds = field(default_factory=SeverityThresholds)
    clock_skew: timedelta = timedelta(seconds=60)
    recent_episodes: dict[str | None, int] = field(default_factory=dict)


class Check(ABC, Generic[FactsT]):
    """One type of check."""

    type: ClassVar[ViolationType]

    @abstractmethod
    def is_promised(self, contract: Contract) -> bool:
        """Whether the contract promises what this check compares."""

    def promises(self, contract: Contract, element: str | None) -> bool:  # noqa: ARG002 - where a check has one promise only
        """Whether the contract can have an outcome of this element; an episode of another one waits for nothing."""
        return self.is_promised(contract)

    @abstractmethod
    def interval(self, intervals: CheckIntervals) -> timedelta:
        """How often the platform wants it (FR-003)."""

    @abstractmethod
    def judge(self, contract: Contract, facts: FactsT, rules: Rules) -> Verdict:
        """The verdict on the facts."""


def unknown(elements: tuple[str | None, ...], reason: str, *, error: bool = False) -> Verdict:
    """The verdict when there are no facts: `unknown`, or `error` where somebody has to change something."""
    status = CheckStatus.ERROR if error else CheckStatus.UNKNOWN
    return Verdict(tuple(Outcome(status, element, reason=reason) for element in elements))
