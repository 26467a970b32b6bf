"""Grafana Cloud's OTLP gateway as telemetry backend."""

from floe_telemetry_grafana.plugin import GrafanaCloudTelemetryConfig, GrafanaCloudTelemetryPlugin

__all__ = ["GrafanaCloudTelemetryConfig", "GrafanaCloudTelemetryPlugin"]
