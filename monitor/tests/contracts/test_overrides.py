"""What a contract sets for itself, and what stays the platform's."""

from typing import Any

import pytest

from floe_core.manifest.models import AlertRoutingRule, Alerts, CheckIntervals, Monitoring
from floe_monitor.contracts.overrides import Overrides, read_overrides
from floe_monitor.contracts.reading import Examined, examine_contract

pytestmark = pytest.mark.requirement("FR-044", "FR-045")

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema: [{name: orders}]
slaProperties: [{property: freshness, value: PT6H}]
customProperties:
  - property: monitoring
    value:
"""


def overrides(**value: Any) -> Overrides:
    found, problems = read_overrides(value)
    assert problems == ()
    return found


def examined(*lines: str) -> Examined:
    return examine_contract(HEAD + "".join(f"      {line}\n" for line in lines), file="orders.yaml")


def test_what_a_contract_sets_holds_and_the_rest_is_the_platforms() -> None:
    platform = Monitoring(check_intervals=CheckIntervals(quality_minutes=30), retention_days=7)
    merged = overrides(check_intervals={"freshness_minutes": 5}, severity_thresholds={"warning_pct": 75}).merged(
        platform
    )
    assert merged.check_intervals == CheckIntervals(freshness_minutes=5, quality_minutes=30)
    assert (merged.severity_thresholds.warning_pct, merged.severity_thresholds.info_pct) == (75, 80)
    assert merged.retention_days == 7


def test_a_contract_that_sets_nothing_has_the_platforms_configuration() -> None:
    platform = Monitoring()
    assert Overrides().merged(platform) is platform


def test_a_contract_adds_to_who_is_told_and_silences_nobody() -> None:
    platform = Monitoring(alerts=Alerts(routing_rules=(AlertRoutingRule(channel_name="pager", min_severity="error"),)))
    rules = [
        {"channel_name": "pager", "min_severity": "critical"},
        {"channel_name": "team", "min_severity": "critical"},
    ]
    merged = overrides(alerts={"routing_rules": rules}).merged(platform)
    assert [(rule.channel_name, rule.min_severity) for rule in merged.alerts.routing_rules] == [
        ("pager", "error"),
        ("team", "warning"),  # what a channel without a rule hears
        ("pager", "critical"),
        ("team", "critical"),
    ]


@pytest.mark.parametrize(
    ("line", "path", "rule"),
    [
        ("enabled: false", "enabled", "FR-044"),
        ("mode: on_demand", "mode", "FR-044"),
        ("retention_days: 1", "retention_days", "FR-002"),
        ("clock_skew_tolerance_seconds: 900", "clock_skew_tolerance_seconds", "FR-010"),
        ("check_timeout_seconds: 900", "check_timeout_seconds", "FR-022"),
        ("calls_per_source: 900", "calls_per_source", "FR-022"),
        ("contract_histograms_up_to: 9", "contract_histograms_up_to", "FR-044"),
        ("alerts: {dedup_window_minutes: 900}", "alerts.dedup_window_minutes", "FR-029"),
        ("alerts: {rate_limit_per_contract: 900}", "alerts.rate_limit_per_contract", "FR-030"),
        ("alerts: {rate_limit_window_minutes: 900}", "alerts.rate_limit_window_minutes", "FR-030"),
        (
            "alerts: {routing_rules: [{channel_name: a, contract_filter: b}]}",
            "alerts.routing_rules[0].contract_filter",
            "FR-028",
        ),
        ("check_intervals: {quality_minutes: 0.5}", "check_intervals.quality_minutes", "FR-003"),
    ],
)
def test_what_is_the_platforms_is_refused_with_its_rule_and_place(line: str, path: str, rule: str) -> None:
    [problem] = examined(line).refused
    assert f"({rule})" in f"{problem.what} {problem.remedy}"
    assert problem.where.path == f"customProperties[0].value.{path}"
    assert problem.where.line == 11


@pytest.mark.parametrize(
    "line",
    [
        "colour: blue",
        "check_intervals: {freshness_minutes: soon}",
        "check_intervals: {weather_minutes: 5}",
        "check_intervals: 5",
        "alerts: 5",
        "alerts: {colour: blue}",
        "alerts: {routing_rules: 5}",
        "severity_thresholds: {warning_pct: 101}",
    ],
)
def test_what_nobody_knows_is_a_problem_and_the_contract_is_watched_without_it(line: str) -> None:
    found = examined(line, "severity_thresholds: {info_pct: 10}" if "severity" not in line else "")
    assert found.refused
    assert found.contract.overrides == Overrides()
    assert len(found.contract.freshness) == 1


def test_a_contract_carries_what_it_sets() -> None:
    found = examined("check_intervals: {freshness_minutes: 5}")
    assert found.refused == ()
    assert found.contract.overrides.merged(Monitoring()).check_intervals.freshness_minutes == 5
