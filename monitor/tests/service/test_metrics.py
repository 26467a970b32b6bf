"""What a scrape shows."""

from dataclasses import replace

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client.parser import text_string_to_metric_families

from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.service.exposition import Exposition
from floe_monitor.service.metrics import CHECK_DURATION, METRICS, MonitorMetrics
from monitor.tests.builders import SECOND, check_run, contract, outcome

pytestmark = pytest.mark.requirement("FR-033", "HOUSE-12")


def metrics_and_scrape(*, histograms_up_to: int = 200) -> tuple[MonitorMetrics, Exposition]:
    holder: list[MonitorMetrics] = []
    exposition = Exposition(lambda: holder[0].active)
    meter = MeterProvider(metric_readers=[exposition.reader]).get_meter("floe_monitor")
    metrics = MonitorMetrics(meter, histograms_up_to=histograms_up_to)
    holder.append(metrics)
    metrics.active = {str(contract().id)}
    return metrics, exposition


def text_of(exposition: Exposition) -> str:
    return exposition.render("")[0].decode()


def labels_of(text: str, name: str) -> set[frozenset[str]]:
    families = text_string_to_metric_families(text)
    return {frozenset(sample.labels) for family in families for sample in family.samples if sample.name == name}


def test_the_five_metrics_have_their_exact_names_and_labels() -> None:
    metrics, exposition = metrics_and_scrape()
    metrics.checked(check_run(outcome("error")))
    text = text_of(exposition)
    assert labels_of(text, "floe_contract_violations_total") == {frozenset({"contract", "type", "severity"})}
    assert labels_of(text, "floe_contract_freshness_seconds") == {frozenset({"contract"})}
    assert labels_of(text, f"{CHECK_DURATION}_count") == {frozenset({"contract", "check_type"})}


def test_a_run_of_some_milliseconds_falls_between_the_bounds() -> None:
    metrics, exposition = metrics_and_scrape()
    metrics.checked(check_run())
    counts = {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(text_of(exposition))
        for sample in family.samples
        if sample.name == f"{CHECK_DURATION}_bucket"
    }
    assert counts[0.025] == 0
    assert counts[0.05] == 1
    assert max(bound for bound in counts if bound != float("inf")) == 60


def test_a_contracts_series_end_with_it() -> None:
    metrics, exposition = metrics_and_scrape()
    metrics.checked(check_run(outcome("error")))
    assert str(contract().id) in text_of(exposition)
    metrics.forget(str(contract().id))
    assert str(contract().id) not in text_of(exposition)


def test_every_metric_is_named_before_its_first_value() -> None:
    _, exposition = metrics_and_scrape()
    shown = {line.split()[2] for line in text_of(exposition).splitlines() if line.startswith("# TYPE")}
    # These two belong to parts that a running monitor adds.
    assert set(METRICS) <= shown


def test_both_formats_are_spoken() -> None:
    _, exposition = metrics_and_scrape()
    body, content_type = exposition.render("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


@pytest.mark.requirement("BUDGET-7")
def test_coverage_is_the_share_of_planned_checks_that_ran() -> None:
    metrics, exposition = metrics_and_scrape()
    assert metrics.coverage == 1.0
    for _ in range(3):
        metrics.started("c freshness", 0.01 * SECOND)
    metrics.missed("c freshness", 1, "overrun")
    assert metrics.coverage == 0.75
    text = text_of(exposition)
    assert "floe_monitor_coverage_ratio 0.75" in text
    assert 'floe_monitor_missed_checks_total{check_type="freshness",reason="overrun"} 1.0' in text


@pytest.mark.requirement("FR-016")
def test_the_quality_score_is_the_last_runs_and_ends_with_its_contract() -> None:
    metrics, exposition = metrics_and_scrape()
    run = check_run(check=ViolationType.QUALITY)
    metrics.checked(replace(run, verdict=replace(run.verdict, details={"quality_score": 87.5})))
    name = str(contract().id)
    assert f'floe_contract_quality_score{{contract="{name}"}} 87.5' in text_of(exposition)
    metrics.forget(name)
    assert "floe_contract_quality_score{" not in text_of(exposition)


@pytest.mark.requirement("FR-010")
def test_the_clock_skew_is_what_the_last_run_that_measured_it_told() -> None:
    metrics, exposition = metrics_and_scrape()
    assert "\nfloe_monitor_clock_skew_seconds" not in text_of(exposition)
    run = check_run()
    metrics.checked(replace(run, verdict=replace(run.verdict, details={"clock_skew_seconds": -2.5})))
    metrics.checked(run)
    assert "floe_monitor_clock_skew_seconds -2.5" in text_of(exposition)


def test_with_many_contracts_durations_are_told_of_each_check_only() -> None:
    metrics, exposition = metrics_and_scrape(histograms_up_to=1)
    metrics.active = {str(contract(name=name).id) for name in ("a", "b")}
    metrics.checked(check_run(of=contract(name="a")))
    metrics.checked(check_run(of=contract(name="b")))
    text = text_of(exposition)
    assert 'floe_contract_check_duration_seconds_count{check_type="freshness"} 2.0' in text
    metrics.active.clear()
    metrics.active.add(str(contract(name="a").id))
    metrics.checked(check_run(of=contract(name="a")))
    assert f'contract="{contract(name="a").id}"' in text_of(exposition)
