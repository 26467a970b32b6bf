"""An application's OpenTelemetry SDK that sends one trace, a counter and a log record over OTLP/HTTP."""

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

SERVICE_NAME = "floe-e2e"
SPAN_NAME = "load"
METRIC_NAME = "rows_loaded"
LOG_BODY = "rows were loaded"

_RESOURCE = Resource({"service.name": SERVICE_NAME})


def send_all_signals(http_url: str) -> None:
    """Sends traces, metrics and logs to a receiver's base URL; returns when it has taken them."""
    _send_a_span(http_url)
    _send_a_counter_twice(http_url)
    _send_a_log_record(http_url)


def _send_a_span(http_url: str) -> None:
    provider = TracerProvider(resource=_RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{http_url}/v1/traces")))
    with provider.get_tracer(__name__).start_as_current_span(SPAN_NAME):
        pass
    provider.shutdown()


def _send_a_counter_twice(http_url: str) -> None:
    """Two points of one series: a Collector may need the first to tell the second's delta."""
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=f"{http_url}/v1/metrics"), export_interval_millis=float("inf")
    )
    provider = MeterProvider([reader], resource=_RESOURCE, shutdown_on_exit=False)
    meter = provider.get_meter(__name__)
    counter, histogram = meter.create_counter(METRIC_NAME), meter.create_histogram("load_duration_seconds")
    for _ in range(2):
        counter.add(1)
        histogram.record(0.1)
        provider.force_flush()
    provider.shutdown()


def _send_a_log_record(http_url: str) -> None:
    provider = LoggerProvider(resource=_RESOURCE, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(endpoint=f"{http_url}/v1/logs")))
    provider.get_logger(__name__).emit(body=LOG_BODY, severity_number=SeverityNumber.INFO, severity_text="INFO")
    provider.shutdown()
