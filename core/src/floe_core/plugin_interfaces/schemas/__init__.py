"""Published JSON Schemas of what plugins return: values of the Collector's chart and of a job's chart."""

import json
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _text(name: str) -> str:
    return files(__name__).joinpath(f"{name}.schema.json").read_text(encoding="utf-8")


def collector_values_schema() -> dict[str, Any]:
    """Schema of `TelemetryBackendPlugin.get_helm_values` (REQ-053)."""
    return dict(json.loads(_text("otel-collector-values")))


def job_values_schema() -> dict[str, Any]:
    """Schema of `LineageBackendPlugin.get_helm_values` (REQ-059)."""
    return dict(json.loads(_text("job-values")))
