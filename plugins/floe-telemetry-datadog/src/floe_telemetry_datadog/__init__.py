"""Datadog's OTLP intake as telemetry backend."""

from floe_telemetry_datadog.plugin import DatadogSite, DatadogTelemetryConfig, DatadogTelemetryPlugin

__all__ = ["DatadogSite", "DatadogTelemetryConfig", "DatadogTelemetryPlugin"]
