"""Providers with and without an exporter."""

import socket
import threading

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from floe_core import telemetry
from floe_core.telemetry import init_telemetry, shutdown_telemetry

pytestmark = pytest.mark.requirement("CC-1.2")


def test_the_resource_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    tracer_provider, meter_provider = init_telemetry("floe-webhook", "0.1.0", make_global=False)

    attributes = tracer_provider.resource.attributes
    assert (attributes["service.name"], attributes["service.version"]) == ("floe-webhook", "0.1.0")
    shutdown_telemetry(tracer_provider, meter_provider)


@pytest.mark.requirement("CC-2.2")
@pytest.mark.parametrize(("variable", "expected"), [("floe-eu", "floe-eu"), ("", "floe-webhook")])
def test_the_variable_names_the_service_unless_it_is_empty(
    variable: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", variable)
    tracer_provider, meter_provider = init_telemetry("floe-webhook", "0.1.0", make_global=False)

    assert tracer_provider.resource.attributes["service.name"] == expected
    shutdown_telemetry(tracer_provider, meter_provider)


@pytest.mark.requirement("CC-1.4")
def test_a_reader_of_ones_own_sees_metrics() -> None:
    reader = InMemoryMetricReader()
    tracer_provider, meter_provider = init_telemetry("floe", "1", metric_readers=(reader,), make_global=False)
    meter_provider.get_meter("test").create_counter("floe_pipeline_runs_total").add(2)

    exported = reader.get_metrics_data()
    assert exported is not None
    assert [metric.name for metric in exported.resource_metrics[0].scope_metrics[0].metrics] == [
        "floe_pipeline_runs_total"
    ]
    shutdown_telemetry(tracer_provider, meter_provider)


def test_without_an_endpoint_nothing_runs_in_the_background() -> None:
    before = threading.active_count()
    providers = init_telemetry("floe", "1", make_global=False)

    assert threading.active_count() == before
    shutdown_telemetry(*providers)


def test_a_span_is_not_slowed_by_a_collector_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "_EXPORT_TIMEOUT_SECONDS", 1)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    before = threading.active_count()
    providers = init_telemetry("floe", "1", address, make_global=False)
    with providers[0].get_tracer("test").start_as_current_span("compile") as span:
        span.set_attribute("floe.product.name", "sales")
    assert span.get_span_context().is_valid

    shutdown_telemetry(*providers)
    assert threading.active_count() <= before
