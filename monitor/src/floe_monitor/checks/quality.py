"""Quality (FR-015 to FR-018): the contract's rules, each judged alone, and a weighted score of all of them.

| rule                                        | status  | finding                                               |
|---------------------------------------------|---------|-------------------------------------------------------|
| holds                                       | pass    | none                                                  |
| does not hold, severity info or warning     | pass    | of that severity                                      |
| does not hold, heavier or without severity  | fail    | error, critical above the count                       |
| could not be counted                        | error   | none; the reason says what to change                  |
| its table did not answer, others did        | unknown | none                                                  |
| no quality plugin in the manifest           | skipped | none (FR-018)                                         |

The score is the quality plugin's (`QualityPlugin.calculate_quality_score`). Below `min_score` the whole contract fails,
unless a rule's own finding tells as much already: nobody is told twice. Such a score is skipped, not passed: what was
told of it before has not recovered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from floe_core.manifest.models import CheckIntervals
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_core.plugin_interfaces.quality import QualityCheckResult, QualityConfig, QualityScore
from floe_monitor.checks.model import Check, CheckStatus, Finding, Outcome, Rules, Verdict
from floe_monitor.checks.severity import above_the_count
from floe_monitor.contracts.model import Contract, QualityRule

SCORE = "quality score"


@dataclass(frozen=True, slots=True)
class QualityFacts:
    """What was counted.

    Attributes:
        results: One per rule, by the rule's name.
        score: Over the results.
        skipped: Why nothing was counted; then the rest means nothing.
        uncounted: By table, why its rules were not counted although those of others were.
    """

    results: Mapping[str, QualityCheckResult]
    score: QualityScore
    skipped: str = ""
    uncounted: Mapping[str, str] = field(default_factory=dict)


class QualityCheckOfContract(Check[QualityFacts]):
    """Compares counts with the rules' bounds."""

    type: ClassVar[ViolationType] = ViolationType.QUALITY

    def is_promised(self, contract: Contract) -> bool:
        """Whether the contract has rules that can be checked."""
        return bool(contract.quality)

    def promises(self, contract: Contract, element: str | None) -> bool:
        """Whether it is one of the rules, or the score of any."""
        return self.is_promised(contract) and element in {SCORE, *(rule.element for rule in contract.quality)}

    def interval(self, intervals: CheckIntervals) -> timedelta:
        """`quality_minutes`."""
        return timedelta(minutes=intervals.quality_minutes)

    def judge(self, contract: Contract, facts: QualityFacts, rules: Rules) -> Verdict:
        """One outcome per rule, and one of the score."""
        if facts.skipped:
            return Verdict((Outcome(CheckStatus.SKIPPED, reason=facts.skipped),))
        outcomes = [
            Outcome(CheckStatus.UNKNOWN, rule.element, reason=facts.uncounted[rule.table.name])
            if rule.table.name in facts.uncounted
            else _judge(rule, facts.results.get(rule.element), rules)
            for rule in contract.quality
        ]
        told = any(finding.severity.rank >= ViolationSeverity.ERROR.rank for finding in _findings(outcomes))
        return Verdict((*outcomes, _of_score(facts, rules, told=told)), details=_details(facts))


def _judge(rule: QualityRule, result: QualityCheckResult | None, rules: Rules) -> Outcome:
    if result is None or result.error_message is not None:
        reason = result.error_message if result else "The quality plugin gave no result for it."
        return Outcome(CheckStatus.ERROR, rule.element, reason=reason or "It could not be counted.")
    measured = result.details.get("measured")
    measure = float(measured) if isinstance(measured, (int, float)) else None
    if result.passed:
        return Outcome(CheckStatus.PASS, rule.element, measure=measure)
    severity = rule.severity
    is_broken = severity.rank >= ViolationSeverity.ERROR.rank
    if is_broken and above_the_count(rules.recent_episodes.get(rule.element, 1), rules.thresholds):
        severity = ViolationSeverity.CRITICAL
    expected, actual = result.details.get("expected"), result.details.get("actual")
    finding = Finding(
        severity,
        f"{rule.element}: {actual if actual is not None else 'the rule does not hold'}"
        + (f", promised is {expected}." if expected is not None else "."),
        rule.element,
        expected=None if expected is None else str(expected),
        actual=None if actual is None else str(actual),
    )
    return Outcome(CheckStatus.FAIL if is_broken else CheckStatus.PASS, rule.element, finding, measure)


def _findings(outcomes: list[Outcome]) -> list[Finding]:
    return [outcome.finding for outcome in outcomes if outcome.finding is not None]


def _of_score(facts: QualityFacts, rules: Rules, *, told: bool) -> Outcome:
    score, least = facts.score, QualityConfig().min_score
    if facts.uncounted:
        reason = f"It is of all rules, and of these tables none was counted: {', '.join(sorted(facts.uncounted))}."
        return Outcome(CheckStatus.UNKNOWN, SCORE, threshold=least, reason=reason)
    if score.overall is None:
        return Outcome(CheckStatus.UNKNOWN, SCORE, threshold=least, reason="No rule could be counted.")
    if score.overall >= least:
        return Outcome(CheckStatus.PASS, SCORE, measure=score.overall, threshold=least)
    if told:
        reason = "It is poor, as the broken rules tell already."
        return Outcome(CheckStatus.SKIPPED, SCORE, measure=score.overall, threshold=least, reason=reason)
    is_critical = above_the_count(rules.recent_episodes.get(SCORE, 1), rules.thresholds)
    finding = Finding(
        ViolationSeverity.CRITICAL if is_critical else ViolationSeverity.ERROR,
        f"The quality score is {score.overall:.1f}, at least {least:g} is wanted.",
        SCORE,
        expected=f"at least {least:g}",
        actual=f"{score.overall:.1f}",
    )
    return Outcome(CheckStatus.FAIL, SCORE, finding, score.overall, least)


def _details(facts: QualityFacts) -> dict[str, Any]:
    return {
        "quality_score": None if facts.uncounted else facts.score.overall,
        "dimensions": {dimension.value: score for dimension, score in facts.score.dimensions.items()},
        "rules": [_counted(result) for result in facts.results.values()],
    }


def _counted(result: QualityCheckResult) -> dict[str, Any]:
    return {
        "name": result.check_name,
        "passed": result.passed,
        "measured": result.details.get("measured"),
        "records_checked": result.records_checked,
        "records_failed": result.records_failed,
    }
