"""Judging counts by a contract's rules."""

from typing import Any

import pytest

from floe_core.manifest.models import CheckIntervals, SeverityThresholds
from floe_core.plugin_interfaces.alert_channel import AlertKind, ViolationSeverity
from floe_core.plugin_interfaces.quality import (
    Dimension,
    QualityCheck,
    QualityCheckResult,
    QualityScore,
    SeverityLevel,
)
from floe_monitor.checks.model import CheckStatus, Outcome, Rules, Verdict
from floe_monitor.checks.quality import SCORE, QualityCheckOfContract, QualityFacts
from floe_monitor.contracts.model import ContractTable, QualityRule, TableLocation
from floe_monitor.service.memory import Memory
from monitor.tests.builders import HOUR, NOW, ORDERS, quality_contract

pytestmark = pytest.mark.requirement("FR-015", "FR-017", "FR-024")

RULE = "orders.email: nullValues"


def rule(severity: str = "error") -> QualityRule:
    return QualityRule(ORDERS, QualityCheck(name=RULE, type="nullValues"), ViolationSeverity(severity))


def result(*, passed: bool = False, error: str | None = None, **details: Any) -> QualityCheckResult:
    return QualityCheckResult(
        check_name=RULE,
        passed=passed,
        dimension=Dimension.COMPLETENESS,
        severity=SeverityLevel.WARNING,
        error_message=error,
        details={"measured": 12.0, "expected": "less than 5 percent", "actual": "12 percent"} | details,
    )


def score(overall: float | None) -> QualityScore:
    return QualityScore(overall=overall, dimensions={}, checks_passed=0, checks_failed=1)


def judged(
    found: QualityCheckResult | None,
    *,
    severity: str = "error",
    overall: float | None = 90.0,
    rules: Rules | None = None,
) -> Verdict:
    facts = QualityFacts({} if found is None else {RULE: found}, score(overall))
    return QualityCheckOfContract().judge(quality_contract(rule(severity)), facts, rules or Rules())


def of_the_rule(verdict: Verdict) -> Outcome:
    return next(outcome for outcome in verdict.outcomes if outcome.element == RULE)


def of_the_score(verdict: Verdict) -> Outcome:
    return next(outcome for outcome in verdict.outcomes if outcome.element == SCORE)


def test_a_rule_that_holds_is_a_pass_with_its_measure() -> None:
    verdict = judged(result(passed=True))
    assert verdict.status is CheckStatus.PASS
    assert of_the_rule(verdict).measure == 12
    assert verdict.findings == ()


def test_a_broken_rule_is_a_finding_with_both_numbers() -> None:
    verdict = judged(result())
    assert verdict.status is CheckStatus.FAIL
    (finding,) = verdict.findings
    assert finding.severity is ViolationSeverity.ERROR
    assert (finding.element, finding.expected, finding.actual) == (RULE, "less than 5 percent", "12 percent")
    assert finding.message == "orders.email: nullValues: 12 percent, promised is less than 5 percent."


@pytest.mark.parametrize("severity", ["info", "warning"])
def test_a_light_rule_is_told_and_fails_nothing(severity: str) -> None:
    verdict = judged(result(), severity=severity)
    assert verdict.status is CheckStatus.PASS
    assert [finding.severity for finding in verdict.findings] == [ViolationSeverity(severity)]


def test_what_broke_too_often_is_critical() -> None:
    often = Rules(SeverityThresholds(critical_count=3), recent_episodes={RULE: 4})
    assert judged(result(), rules=often).findings[0].severity is ViolationSeverity.CRITICAL
    just = Rules(SeverityThresholds(critical_count=3), recent_episodes={RULE: 3})
    assert judged(result(), rules=just).findings[0].severity is ViolationSeverity.ERROR


def test_what_could_not_be_counted_is_an_error_and_no_violation() -> None:
    verdict = judged(result(error="no such column"))
    assert verdict.status is CheckStatus.ERROR
    assert of_the_rule(verdict).reason == "no such column"
    assert verdict.findings == ()
    assert judged(None).status is CheckStatus.ERROR


def test_a_poor_score_is_told_unless_a_rule_tells_it_already() -> None:
    assert judged(result(), overall=40.0).findings[0].element == RULE
    assert len(judged(result(), overall=40.0).findings) == 1
    told = judged(result(), severity="warning", overall=40.0)
    assert [finding.element for finding in told.findings] == [RULE, SCORE]
    assert told.status is CheckStatus.FAIL
    assert told.findings[1].message == "The quality score is 40.0, at least 70 is wanted."


def test_a_poor_score_does_not_recover_by_a_rule_that_breaks_too() -> None:
    memory = Memory()
    verdicts = [
        judged(result(), severity="warning", overall=40.0),
        judged(result(), severity="error", overall=40.0),
        judged(result(), severity="warning", overall=40.0),
        judged(result(), severity="error", overall=75.0),
    ]
    steps = [step for number, verdict in enumerate(verdicts) for step in memory.follow(verdict, NOW + number * HOUR)]
    told = [step.told for step in steps if step.episode.element == SCORE and step.told is not None]
    assert told == [AlertKind.OPENED, AlertKind.RESOLVED]


def test_a_poor_score_too_often_is_critical() -> None:
    often = Rules(SeverityThresholds(critical_count=3), recent_episodes={SCORE: 4})
    told = judged(result(), severity="warning", overall=40.0, rules=often)
    assert told.findings[1].severity is ViolationSeverity.CRITICAL


def test_without_any_count_there_is_no_score() -> None:
    verdict = judged(result(error="no such column"), overall=None)
    assert of_the_score(verdict).status is CheckStatus.UNKNOWN


@pytest.mark.requirement("FR-018")
def test_without_a_plugin_the_check_is_skipped() -> None:
    facts = QualityFacts({}, score(None), skipped="The manifest names no quality plugin.")
    verdict = QualityCheckOfContract().judge(quality_contract(rule()), facts, Rules())
    assert (verdict.status, verdict.findings) == (CheckStatus.SKIPPED, ())
    assert verdict.reason == "The manifest names no quality plugin."


@pytest.mark.requirement("FR-025")
def test_the_details_hold_counts_only() -> None:
    assert judged(result()).details == {
        "quality_score": 90.0,
        "dimensions": {},
        "rules": [
            {"name": RULE, "passed": False, "measured": 12.0, "records_checked": 0, "records_failed": 0},
        ],
    }


@pytest.mark.requirement("FR-003")
def test_it_is_made_for_contracts_with_rules_as_often_as_the_platform_says() -> None:
    check = QualityCheckOfContract()
    assert check.is_promised(quality_contract(rule()))
    assert not check.is_promised(quality_contract())
    assert check.interval(CheckIntervals(quality_minutes=7)).total_seconds() == 420


def test_a_table_that_was_not_counted_leaves_its_rules_and_the_score_unknown_and_others_judged() -> None:
    returns = ContractTable("returns", TableLocation("returns"))
    other = QualityRule(returns, QualityCheck(name="returns: rowCount", type="rowCount"), ViolationSeverity.ERROR)
    facts = QualityFacts({RULE: result()}, score(20.0), uncounted={"returns": "too slow"})
    verdict = QualityCheckOfContract().judge(quality_contract(rule(), other), facts, Rules())
    states = {outcome.element: (outcome.status, outcome.reason) for outcome in verdict.outcomes}
    assert states == {
        RULE: (CheckStatus.FAIL, ""),
        "returns: rowCount": (CheckStatus.UNKNOWN, "too slow"),
        SCORE: (CheckStatus.UNKNOWN, "It is of all rules, and of these tables none was counted: returns."),
    }
    assert verdict.details["quality_score"] is None
