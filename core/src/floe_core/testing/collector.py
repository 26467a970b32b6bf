"""Judges what a plugin writes for the Collector: its chart's values, its exporters, its pipelines' references."""

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

from floe_core.plugin_interfaces.schemas import collector_values_schema

# What the chart's own defaults define besides the values that are given to it.
_CHART_EXPORTERS = ("debug",)
_CHART_PROCESSORS = ("batch", "memory_limiter")
_CHART_RECEIVERS = ("otlp", "jaeger", "zipkin", "prometheus")
_CHART_EXTENSIONS = ("health_check",)


def schema_problems(schema: Mapping[str, Any], document: object) -> list[str]:
    """One sentence for each place of a document that does not fit a schema."""
    errors = jsonschema_rs.validator_for(dict(schema)).iter_errors(document)
    return [
        f"{'.'.join(str(part) for part in error.instance_path) or 'the values'}: {error.message}" for error in errors
    ]


def collector_problems(values: Mapping[str, Any]) -> list[str]:
    """Everything that is wrong with values for the Collector's chart; an empty mapping is fine (nothing to set up)."""
    if not values:
        return []
    problems = schema_problems(collector_values_schema(), values)
    return problems or list(_reference_problems(values["config"]))


def _reference_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """Names that a Collector would look up in vain, and exporters that no pipeline uses."""
    connectors = config.get("connectors") or {}
    known = {
        "receivers": {*_CHART_RECEIVERS, *(config.get("receivers") or {}), *connectors},
        "processors": {*_CHART_PROCESSORS, *(config.get("processors") or {})},
        "exporters": {*_CHART_EXPORTERS, *(config.get("exporters") or {}), *connectors},
    }
    service = config["service"]
    used: set[str] = set()
    for name, pipeline in service["pipelines"].items():
        used.update(pipeline["exporters"])
        for part, names in known.items():
            for missing in sorted(set(pipeline.get(part) or ()) - names):
                yield f"the pipeline {name} names {missing}, which {part} does not define"
    for exporter in sorted(set(config["exporters"]) - used):
        yield f"no pipeline uses the exporter {exporter}"
    yield from _extension_problems(config, service)


def _extension_problems(config: Mapping[str, Any], service: Mapping[str, Any]) -> Iterator[str]:
    defined = {*_CHART_EXTENSIONS, *(config.get("extensions") or {})}
    enabled = set(service.get("extensions", _CHART_EXTENSIONS))
    for missing in sorted(enabled - defined):
        yield f"service.extensions names {missing}, which extensions does not define"
    for name, exporter in config["exporters"].items():
        exporter = exporter or {}  # noqa: PLW2901 - a component without settings is null in YAML
        needed = {"auth.authenticator": (exporter.get("auth") or {}).get("authenticator")}
        needed["sending_queue.storage"] = (exporter.get("sending_queue") or {}).get("storage")
        for place, extension in needed.items():
            if extension and extension not in enabled & defined:
                yield f"the exporter {name} names {extension} in {place}, which is not an enabled extension"
