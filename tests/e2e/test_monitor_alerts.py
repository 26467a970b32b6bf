"""The monitor's alerts, judged by promtool: each fires when it should, and not when things are as they should be."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.e2e.cluster.client import Manifest
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.prometheus import ensure_prometheus
from tests.e2e.helm import CHART, RELEASE, VALUES, Helm

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("CC-1.4", "FR-033")]

JOB = f'job="{RELEASE}-monitor"'
VIOLATIONS = f'floe_contract_violations_total{{{JOB}, contract="a/b:1.0.0", type="freshness", severity='
MISSED = f'floe_monitor_missed_checks_total{{{JOB}, check_type="quality", reason="late"}}'
DROPPED = f"floe_monitor_results_dropped_total{{{JOB}, reason="
DRIFT = f"floe_monitor_check_drift_seconds_bucket{{{JOB}, le="

# Samples of each series, one a minute, in promtool's notation: what fires after half an hour, and what does not.
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "FloeContractViolated": (
        {f'{VIOLATIONS}"error"}}': "_x25 1x20", f'{VIOLATIONS}"critical"}}': "_x26 1x20"},  # the very first ones
        {f'{VIOLATIONS}"error"}}': "7x40", f'{VIOLATIONS}"warning"}}': "0+1x40"},
    ),
    "FloeMonitorAway": ({f"up{{{JOB}}}": "0x40"}, {f'up{{{JOB}, pod="a"}}': "0x40", f'up{{{JOB}, pod="b"}}': "1x40"}),
    "FloeMonitorCannotStore": (
        {f"floe_monitor_results_waiting{{{JOB}}}": "0x10 5+1x30"},
        {f"floe_monitor_results_waiting{{{JOB}}}": "0x22 5 0x20"},
    ),
    "FloeMonitorLosesResults": ({f'{DROPPED}"buffer_full"}}': "0x20 9x20"}, {f'{DROPPED}"fenced"}}': "0+1x40"}),
    "FloeMonitorMissesChecks": ({MISSED: "0+1x40"}, {MISSED: "7x40"}),
    "FloeMonitorLate": (
        {f'{DRIFT}"5"}}': "0+8x40", f'{DRIFT}"10"}}': "0+10x40", f'{DRIFT}"+Inf"}}': "0+10x40"},
        {f'{DRIFT}"5"}}': "0+10x40", f'{DRIFT}"10"}}': "0+10x40", f'{DRIFT}"+Inf"}}': "0+10x40"},
    ),
    "FloeSourceHangs": (
        {f'floe_monitor_abandoned_calls{{{JOB}, source="duckdb"}}': "2x40"},
        {f'floe_monitor_abandoned_calls{{{JOB}, source="duckdb"}}': "0x25 1x3 0x20"},
    ),
    "FloeAlertsNotDelivered": (
        {f'floe_alert_delivery_failures_total{{{JOB}, channel="ops"}}': "0+1x40"},
        {f'floe_alert_delivery_failures_total{{{JOB}, channel="ops"}}': "0x5 1x35"},
    ),
    "FloeMonitorLosesLineage": (
        {f'floe_monitor_lineage_dropped_total{{{JOB}, reason="not_sent"}}': "0x20 2x20"},
        {f'floe_monitor_lineage_dropped_total{{{JOB}, reason="not_sent"}}': "2x40"},
    ),
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The monitor's PrometheusRule."""
    rendered = Helm(tmp_path_factory.mktemp("helm")).template(VALUES / "everything.yaml")
    of_the_monitor = [one for one in rendered if one["metadata"]["name"] == f"{RELEASE}-monitor"]
    (found,) = [one for one in of_the_monitor if one["kind"] == "PrometheusRule"]
    return found


def _alerts(rules: Manifest) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for group in rules["spec"]["groups"] for rule in group["rules"]}


def test_every_alert_is_shown_to_fire_and_explained(rules: Manifest) -> None:
    page = (CHART.parents[1] / "docs" / "monitor-in-a-cluster.md").read_text(encoding="utf-8")

    assert set(_alerts(rules)) == set(CASES)
    assert [name for name in CASES if f"`{name}`" not in page] == []


def test_an_alert_fires_when_it_should_and_only_then(rules: Manifest, tmp_path: Path) -> None:
    yaml = YAML(typ="safe", pure=True)
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": one, "values": values} for one, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}})',
                    "eval_time": "30m",
                    "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                }
            ],
        }
        for name, cases in CASES.items()
        for series, fires in zip(cases, (True, False), strict=True)
    ]
    with (tmp_path / "rules.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(rules["spec"], file)
    with (tmp_path / "tests.yaml").open("w", encoding="utf-8") as file:
        yaml.dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}, file)

    said = run([str(ensure_prometheus() / "promtool"), "test", "rules", str(tmp_path / "tests.yaml")])

    assert "SUCCESS" in said
