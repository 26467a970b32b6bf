"""Runs of checks as OpenLineage events."""

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde

from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_core.plugin_interfaces.catalog import Column, Table
from floe_core.plugin_interfaces.compute import DatasetName
from floe_monitor.checks.model import CheckStatus, Outcome, Rules
from floe_monitor.checks.schema_drift import ObservedTable, SchemaDriftCheck, SchemaFacts
from floe_monitor.service.lineage import LineageEmitter, events_of
from floe_monitor.store.records import CheckRun
from monitor.tests.builders import NOW, check_run, outcome, schema_contract, until

pytestmark = pytest.mark.requirement("FR-009", "FR-017", "FR-023", "FR-025")


def named(table: tuple[str, ...]) -> DatasetName:
    return DatasetName(namespace="duckdb:///warehouse", name=".".join(table))


def documents(run: CheckRun) -> list[dict[str, Any]]:
    return [json.loads(Serde.to_json(event)) for event in events_of(run, named)]


@pytest.mark.parametrize(
    ("found", "ends"),
    [
        pytest.param(outcome(), "COMPLETE", id="kept"),
        pytest.param(outcome("warning"), "COMPLETE", id="an early warning"),
        pytest.param(outcome("error"), "FAIL", id="broken"),
        pytest.param(Outcome(CheckStatus.ERROR, reason="no zone"), "FAIL", id="not doable"),
        pytest.param(Outcome(CheckStatus.UNKNOWN, reason="down"), "ABORT", id="not known"),
    ],
)
def test_a_run_has_a_start_and_an_end_of_the_same_run_and_job(found: Outcome, ends: str) -> None:
    run = check_run(found)
    start, end = documents(run)
    assert (start["eventType"], end["eventType"]) == ("START", ends)
    assert start["run"]["runId"] == end["run"]["runId"] == str(run.id)
    assert (end["job"]["namespace"], end["job"]["name"]) == ("floe", "contract_check.sales.shop/orders.freshness")
    assert start["eventTime"] < end["eventTime"]
    assert end["schemaURL"].startswith("https://openlineage.io/spec/")
    assert end["producer"].startswith("https://")


@pytest.mark.requirement("FR-013")
def test_a_drift_is_one_fail_with_what_was_expected_and_what_is_there() -> None:
    actual = Table(identifier="orders", columns=(Column(name="id", type="VARCHAR"), Column(name="more", type="DATE")))
    facts = SchemaFacts((ObservedTable(actual),), "duckdb")
    verdict = SchemaDriftCheck().judge(schema_contract(), facts, Rules())
    _, end = documents(check_run(*verdict.outcomes, of=schema_contract(), check=ViolationType.SCHEMA_DRIFT))
    facet = end["run"]["facets"]["contractViolation"]
    assert (end["eventType"], facet["violationType"], facet["severity"]) == ("FAIL", "schema_drift", "critical")
    assert facet["expectedValue"] == "orders.amount: decimal(10,2); orders.id: integer; orders.more: nothing"
    assert facet["actualValue"] == "orders.amount: nothing; orders.id: VARCHAR; orders.more: DATE"


def test_a_breach_carries_the_violation_with_its_evidence() -> None:
    _, end = documents(check_run(outcome("error")))
    facet = end["run"]["facets"]["contractViolation"]
    assert facet.pop("_producer").startswith("https://")
    assert facet.pop("_schemaURL") == "https://floe.dev/schemas/contract-violation-facet.json"
    assert facet == {
        "contractName": "sales.shop/orders",
        "contractVersion": "1.0.0",
        "violationType": "freshness",
        "severity": "error",
        "message": "orders is stale",
        "element": "orders.updated_at",
        "expectedValue": "at most 2 h",
        "actualValue": "3 h",
        "timestamp": NOW.isoformat(),
    }


@pytest.mark.parametrize(
    ("found", "check", "told"),
    [
        pytest.param(outcome(), ViolationType.FRESHNESS, ("pass", "error"), id="kept"),
        pytest.param(outcome("warning"), ViolationType.FRESHNESS, ("pass", "warn"), id="kept, and soon broken"),
        pytest.param(outcome("error"), ViolationType.FRESHNESS, ("fail", "error"), id="broken"),
        pytest.param(outcome("warning"), ViolationType.QUALITY, ("fail", "warn"), id="a light rule is broken"),
        pytest.param(Outcome(CheckStatus.UNKNOWN), ViolationType.QUALITY, ("skip", "error"), id="not known"),
    ],
)
def test_each_promise_is_a_test_in_the_standards_words(
    found: Outcome, check: ViolationType, told: tuple[str, str]
) -> None:
    _, end = documents(check_run(found, check=check))
    facet = end["run"]["facets"]["test"]
    assert facet["_schemaURL"].endswith("/TestRunFacet.json#/$defs/TestRunFacet")
    [test] = facet["tests"]
    assert (test["status"], test["severity"], test["type"]) == (*told, check.value)
    assert test["name"] == (found.element or "sales.shop/orders")


SCHEMA = json.loads((Path(__file__).parents[3] / "docs/spec/schemas/contract-violation-facet.json").read_text())


@pytest.mark.parametrize("severity", ["info", "warning", "error", "critical"])
def test_the_violation_is_as_its_published_schema_says(severity: str) -> None:
    _, end = documents(check_run(outcome(severity)))
    facet = end["run"]["facets"]["contractViolation"]
    validator = jsonschema_rs.Draft7Validator(SCHEMA, validate_formats=True)
    validator.validate(facet)
    assert facet["_schemaURL"] == SCHEMA["$id"]
    assert not validator.is_valid({**facet, "_producer": "floe"})
    assert not validator.is_valid({**facet, "sample": "anna@example.com"})


def test_a_check_that_could_not_tell_is_no_violation() -> None:
    _, end = documents(check_run(Outcome(CheckStatus.UNKNOWN, reason="connection refused")))
    assert "contractViolation" not in end["run"]["facets"]
    assert end["run"]["facets"]["errorMessage"]["message"] == "connection refused"


async def test_events_are_sent_in_order_behind_the_checks_back() -> None:
    sent: list[RunEvent] = []
    emitter = LineageEmitter(sent.append, lambda _count, _reason: None, named)
    emitter.start()
    runs = [check_run() for _ in range(3)]
    for run in runs:
        emitter(run)
    emitter.stop(timedelta(seconds=10))
    assert [event.run.runId for event in sent] == [str(run.id) for run in runs for _ in range(2)]


async def test_a_backend_that_is_away_costs_events_that_are_counted_and_nothing_else() -> None:
    lost: list[tuple[int, str]] = []

    def refuse(_event: RunEvent) -> None:
        raise OSError("connection refused")

    emitter = LineageEmitter(refuse, lambda count, reason: lost.append((count, reason)), named)
    emitter.start()
    emitter(check_run())
    emitter(check_run())
    await until(lambda: len(lost) == 2)
    emitter.stop(timedelta(seconds=10))
    assert lost == [(2, "not_sent"), (2, "not_sent")]


async def test_a_run_that_no_event_can_be_made_of_costs_its_own_events_only() -> None:
    lost: list[tuple[int, str]] = []
    sent: list[RunEvent] = []

    def name(table: tuple[str, ...]) -> DatasetName:
        if not lost:
            raise ValueError(table)
        return named(table)

    emitter = LineageEmitter(sent.append, lambda count, reason: lost.append((count, reason)), name)
    emitter.start()
    emitter(check_run())
    emitter(second := check_run())
    emitter.stop(timedelta(seconds=10))
    assert lost == [(2, "not_made")]
    assert [event.run.runId for event in sent] == [str(second.id)] * 2


async def test_a_backend_that_hangs_fills_a_bounded_queue() -> None:
    lost: list[tuple[int, str]] = []
    release, taken = threading.Event(), threading.Event()

    def hang(_event: RunEvent) -> None:
        taken.set()
        release.wait(20)

    emitter = LineageEmitter(hang, lambda count, reason: lost.append((count, reason)), named, capacity=1)
    emitter.start()
    emitter(check_run())
    await until(taken.is_set)
    emitter(check_run())
    emitter(check_run())
    assert lost == [(2, "queue_full")]
    release.set()
    emitter.stop(timedelta(seconds=10))
