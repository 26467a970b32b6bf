"""OpenTelemetry of the services: providers with or without an OTLP exporter (requirements file 003 §1.2)."""

import os

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider

_EXPORT_TIMEOUT_SECONDS = 5


def init_telemetry(
    service_name: str,
    service_version: str,
    otlp_endpoint: str | None = None,
    *,
    metric_readers: tuple[MetricReader, ...] = (),
    make_global: bool = True,
) -> tuple[TracerProvider, MeterProvider]:
    """Providers of traces and metrics for a service.

    Without an endpoint nothing is exported and no connection is made. With one, export happens in the background: a
    collector that is away costs telemetry, never a request. gRPC is imported only then.

    Args:
        service_name: `service.name`, unless the variable `OTEL_SERVICE_NAME` gives another: two releases of one program
            are told apart by it.
        service_version: `service.version`.
        otlp_endpoint: OTLP/gRPC address, e.g. http://otel-collector:4317; `http://` means without TLS.
        metric_readers: Further readers, e.g. the Prometheus scrape of the monitor.
        make_global: Whether the providers become the process's; OpenTelemetry allows that once.
    """
    named = os.environ.get("OTEL_SERVICE_NAME") or service_name
    resource = Resource.create({SERVICE_NAME: named, SERVICE_VERSION: service_version})
    tracer_provider = TracerProvider(resource=resource)
    readers = list(metric_readers)
    if otlp_endpoint:
        readers.append(_export(tracer_provider, otlp_endpoint))
    meter_provider = MeterProvider(resource=resource, metric_readers=readers)
    if make_global:
        trace.set_tracer_provider(tracer_provider)
        metrics.set_meter_provider(meter_provider)
    return tracer_provider, meter_provider


def shutdown_telemetry(tracer_provider: TracerProvider, meter_provider: MeterProvider) -> None:
    """Flushes what waits, at most a few seconds each, and stops the exporters."""
    tracer_provider.shutdown()
    meter_provider.shutdown(timeout_millis=_EXPORT_TIMEOUT_SECONDS * 1000)


def _export(tracer_provider: TracerProvider, endpoint: str) -> MetricReader:
    # grpc costs tens of MiB; a service without an endpoint must not pay for it.
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter  # noqa: PLC0415 - see above
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - see above
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415 - see above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - see above

    insecure = not endpoint.startswith("https://")
    tracer_provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=insecure, timeout=_EXPORT_TIMEOUT_SECONDS))
    )
    return PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=endpoint, insecure=insecure, timeout=_EXPORT_TIMEOUT_SECONDS)
    )
