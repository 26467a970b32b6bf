"""Facets that we publish a schema of follow it, whoever writes them; and what a schema is published for, is written."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from floe_sidecar.facets import pod_facet, trace_context_facet
from floe_sidecar.runs import OpenRun, abort
from floe_webhook.pod_runs import events_of
from sidecar.tests.understanding_runs.events import POD, TRACEPARENT
from webhook.tests.following.ended import ended, status_of, terminated

pytestmark = pytest.mark.requirement("RELAY-10", "RELAY-7")

FOLDER = Path(__file__).parents[2] / "docs" / "spec" / "facets" / "1-0-0"
SCHEMAS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
STANDARD = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
# What the standard's own schema asks of every run facet (OpenLineage 2-0-2, BaseFacet and RunFacet).
BASE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": STANDARD,
    "$defs": {
        "RunFacet": {
            "type": "object",
            "properties": {
                "_producer": {"type": "string", "format": "uri"},
                "_schemaURL": {"type": "string", "format": "uri"},
            },
            "required": ["_producer", "_schemaURL"],
        }
    },
}
REGISTRY = jsonschema_rs.Registry([(STANDARD, BASE)])


def objections(name: str, facet: dict[str, Any]) -> list[str]:
    """What the schema has against a facet."""
    schema = SCHEMAS[name]
    assert facet["_schemaURL"] == f"{schema['$id']}#/$defs/{name}"
    (key,) = schema["properties"]
    validator = jsonschema_rs.Draft202012Validator(schema, registry=REGISTRY, validate_formats=True)
    unknown = set(facet) - {"_producer", "_schemaURL"} - set(schema["$defs"][name]["allOf"][1]["properties"])
    return [error.message for error in validator.iter_errors({key: facet})] + sorted(unknown)


def facets_of_events(*events: bytes, name: str) -> list[dict[str, Any]]:
    return [json.loads(event)["run"]["facets"][name] for event in events]


def test_where_a_run_ran_is_said_in_one_way_by_sidecar_and_leader() -> None:
    restarted = status_of("app", terminated(3), restartCount=1) | {
        "lastState": {"terminated": terminated(137, "OOMKilled")}
    }
    of_leader = facets_of_events(*events_of(ended(restarted, phase="Failed")), name="floe_pod")

    assert len(of_leader) > 2
    for facet in [pod_facet(POD), *of_leader]:
        assert objections("PodRunFacet", facet) == []


def test_a_trace_context_follows_its_schema() -> None:
    text = trace_context_facet(TRACEPARENT)

    assert text is not None
    assert objections("TraceContextRunFacet", json.loads(b"{%b}" % text)["floe_traceContext"]) == []


def test_the_mark_of_a_run_that_the_relay_closed_follows_its_schema() -> None:
    (facet,) = facets_of_events(abort(OpenRun("r", "r", "sales", "load", 0.0, 1.0)), name="floe_runClosure")

    assert objections("RunClosureRunFacet", facet) == []


def test_a_facet_that_breaks_its_schema_is_found() -> None:
    assert objections("PodRunFacet", {**pod_facet(POD), "name": 1, "surprise": True}) != []


def test_every_schema_is_some_facets() -> None:
    assert SCHEMAS.keys() == {"PodRunFacet", "TraceContextRunFacet", "RunClosureRunFacet"}
