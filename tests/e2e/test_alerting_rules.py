"""The chart's alerts, judged by promtool: each fires when it should, and not when things are as they should be."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.e2e.cluster.client import Manifest
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.prometheus import ensure_prometheus
from tests.e2e.helm import CHART, RELEASE, VALUES, Helm, Renderings

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("CC-1.4", "HOUSE-8")]

WEBHOOK, GATEWAY = f'job="{RELEASE}-webhook"', f'job="{RELEASE}-gateway"'
_DAY = 86400
_FAIL_OPEN = "apiserver_admission_webhook_fail_open_count"

Series = Mapping[str, str]
"""Samples of each series, one a minute, in promtool's notation: `5x30` is 5 and then 30 times 5 again."""


@dataclass(frozen=True, slots=True)
class Case:
    """Series with which an alert fires after half an hour, and such with which it does not."""

    fires: tuple[Series, ...]
    silent: tuple[Series, ...]


CASES = {
    "FloeCertificateExpires": Case(
        fires=(
            {
                f'floe_webhook_certificate_expiry_timestamp_seconds{{{WEBHOOK}, pod="a"}}': f"{90 * _DAY}x40",
                f'floe_webhook_certificate_expiry_timestamp_seconds{{{WEBHOOK}, pod="b"}}': f"{13 * _DAY}x40",
            },
        ),
        silent=(
            {f"floe_webhook_certificate_expiry_timestamp_seconds{{{WEBHOOK}}}": f"{15 * _DAY}x40"},
            {'floe_webhook_certificate_expiry_timestamp_seconds{job="of-another-release"}': f"{_DAY}x40"},
        ),
    ),
    "FloeAdmissionsFailOpen": Case(
        fires=(
            {f'{_FAIL_OPEN}{{name="namespace.inject.floe.dev"}}': "4x25 5x20"},
            {f'{_FAIL_OPEN}{{name="pod.inject.floe.dev"}}': "_x25 1x20"},  # the very first one
        ),
        silent=(
            {f'{_FAIL_OPEN}{{name="namespace.inject.floe.dev"}}': "4x40"},
            {f'{_FAIL_OPEN}{{name="pod.inject.floe.dev"}}': "4x5 _x20 4x15"},  # nobody has scraped for a while
            {f'{_FAIL_OPEN}{{name="somebody.elses.example"}}': "0+1x40"},
        ),
    ),
    "FloeAdmissionsFail": Case(
        fires=({f'floe_webhook_requests_total{{{WEBHOOK}, outcome="allowed_undecided"}}': "0x25 1x20"},),
        silent=(
            {
                f'floe_webhook_requests_total{{{WEBHOOK}, outcome="injected"}}': "0+9x40",
                f'floe_webhook_requests_total{{{WEBHOOK}, outcome="allowed_undecided"}}': "3x40",
            },
        ),
    ),
    "FloeWebhookAway": Case(
        fires=({f"up{{{WEBHOOK}}}": "0x40"}, {f"up{{{GATEWAY}}}": "1x40"}),
        silent=({f'up{{{WEBHOOK}, pod="a"}}': "0x40", f'up{{{WEBHOOK}, pod="b"}}': "1x40"},),
    ),
    "FloeManifestRefused": Case(
        fires=(
            {
                f'floe_webhook_manifest_valid{{{WEBHOOK}, pod="a"}}': "1x40",
                f'floe_webhook_manifest_valid{{{WEBHOOK}, pod="b"}}': "0x40",
            },
        ),
        silent=({f"floe_webhook_manifest_valid{{{WEBHOOK}}}": "1x40"},),
    ),
    "FloeSidecarDoesNotStart": Case(
        fires=({f"floe_webhook_sidecar_starts{{{WEBHOOK}}}": "1x10 0x30"},),
        silent=({f"floe_webhook_sidecar_starts{{{WEBHOOK}}}": "0x20 1x20"},),
    ),
    "FloeGatewayAway": Case(
        fires=({f"up{{{GATEWAY}}}": "0x40"}, {f"up{{{WEBHOOK}}}": "1x40"}),
        silent=({f"up{{{GATEWAY}}}": "1x22 0x4 1x14"},),  # an upgrade
    ),
    "FloePodsMissed": Case(
        fires=({f'floe_webhook_missed_pods{{{WEBHOOK}, reason="missed"}}': "2x40"},),
        silent=(
            {
                f'floe_webhook_missed_pods{{{WEBHOOK}, reason="missed"}}': "0x40",
                f'floe_webhook_missed_pods{{{WEBHOOK}, reason="unknown_label"}}': "3x40",
            },
        ),
    ),
    "FloeSecretsMissing": Case(
        fires=({f"floe_webhook_missing_secrets_total{{{WEBHOOK}}}": "0x15 1x30"},),
        silent=({f"floe_webhook_missing_secrets_total{{{WEBHOOK}}}": "7x40"},),
    ),
}


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """Every PrometheusRule of the chart."""
    rendered = Renderings(Helm(tmp_path_factory.mktemp("helm")))(VALUES / "everything.yaml")
    return [one for one in rendered if one["kind"] == "PrometheusRule"]


@pytest.fixture(scope="module")
def alerts(rules: list[Manifest]) -> dict[str, dict[str, Any]]:
    """The alerts of webhook and gateway, by name."""
    (found,) = (one for one in rules if one["metadata"]["name"] == RELEASE)
    return {rule["alert"]: rule for group in found["spec"]["groups"] for rule in group["rules"]}


def test_promtool_takes_every_rule(rules: list[Manifest], tmp_path: Path) -> None:
    for one in rules:
        file = _written(one["spec"], tmp_path / f"{one['metadata']['name']}.yaml")

        said = run([str(ensure_prometheus() / "promtool"), "check", "rules", "--lint=all", "--lint-fatal", str(file)])

        assert "SUCCESS" in said


def test_every_alert_is_shown_to_fire(alerts: dict[str, dict[str, Any]]) -> None:
    assert set(alerts) == set(CASES)


def test_every_alert_is_explained() -> None:
    text = (CHART.parents[1] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    section = text.split("\n## Alerts\n")[1].split("\n## ")[0]

    assert set(re.findall(r"^\| `(\w+)` \| ", section, re.MULTILINE)) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should_and_only_then(
    name: str, rules: list[Manifest], alerts: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    firing = {"exp_labels": alerts[name]["labels"], "exp_annotations": alerts[name]["annotations"]}
    expected = [(series, [firing]) for series in CASES[name].fires] + [(series, []) for series in CASES[name].silent]
    for one in rules:
        _written(one["spec"], tmp_path / f"{one['metadata']['name']}.yaml")
    test = {
        "rule_files": [f"{RELEASE}.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": one, "values": values} for one, values in series.items()],
                "alert_rule_test": [{"eval_time": "30m", "alertname": name, "exp_alerts": alarms}],
            }
            for series, alarms in expected
        ],
    }

    said = run([str(ensure_prometheus() / "promtool"), "test", "rules", str(_written(test, tmp_path / "tests.yaml"))])

    assert "SUCCESS" in said


def test_every_panel_asks_what_prometheus_understands(tmp_path: Path) -> None:
    dashboard = json.loads((CHART / "dashboards" / "floe-injector.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    # What Grafana replaces before it asks.
    expressions = [expression.replace("$__rate_interval", "5m") for expression in asked]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]

    file = _written({"groups": [{"name": "panels", "rules": rules}]}, tmp_path / "panels.yaml")
    said = run([str(ensure_prometheus() / "promtool"), "check", "rules", str(file)])

    assert f"SUCCESS: {len(asked)} rules found" in said


def _written(document: dict[str, Any], file: Path) -> Path:
    with file.open("w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(document, stream)
    return file
