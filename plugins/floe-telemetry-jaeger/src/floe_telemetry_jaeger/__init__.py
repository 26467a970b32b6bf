"""Jaeger, run by oneself, as telemetry backend."""

from floe_telemetry_jaeger.plugin import JaegerTelemetryConfig, JaegerTelemetryPlugin

__all__ = ["JaegerTelemetryConfig", "JaegerTelemetryPlugin"]
