"""What was found out about tables, in OpenLineage's own facet for it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from openlineage.client.serde import Serde

from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_core.plugin_interfaces.catalog import Column, Table
from floe_core.plugin_interfaces.compute import DatasetName
from floe_core.plugin_interfaces.quality import QualityCheck
from floe_monitor.checks.model import CheckStatus, Outcome, Rules
from floe_monitor.checks.quality import SCORE
from floe_monitor.checks.schema_drift import ObservedTable, SchemaDriftCheck, SchemaFacts
from floe_monitor.contracts.model import Contract, ContractTable, FreshnessPromise, QualityRule, TableLocation
from floe_monitor.service.lineage import events_of
from floe_monitor.store.records import CheckRun
from monitor.tests.builders import (
    HOUR,
    ORDERS,
    check_run,
    contract,
    finding,
    outcome,
    quality_contract,
    schema_contract,
)
from monitor.tests.sources import ToldCompute, duckdb_source, told_source

pytestmark = pytest.mark.requirement("FR-009", "FR-013", "FR-017", "FR-025")
RETURNS = ContractTable("returns", TableLocation("raw_returns", "main"))


def named(table: tuple[str, ...]) -> DatasetName:
    return DatasetName(namespace="duckdb:///warehouse", name=".".join(table))


def inputs(run: CheckRun, event: int = 1) -> dict[str, list[dict[str, Any]]]:
    """The assertions of each input dataset of a run's event."""
    document = json.loads(Serde.to_json(events_of(run, named)[event]))
    found = {}
    for dataset in document["inputs"]:
        assert dataset["namespace"] == "duckdb:///warehouse"
        facet = dataset["inputFacets"].get("dataQualityAssertions", {"assertions": []})
        found[dataset["name"]] = facet["assertions"]
    return found


def rule(name: str, metric: str, *, table: ContractTable = ORDERS, column: str | None = None) -> QualityRule:
    check = QualityCheck(name=name, type=metric, column=column, parameters={"metric": metric})
    return QualityRule(table, check, ViolationSeverity.WARNING)


def two_tables() -> Contract:
    promises = (FreshnessPromise(ORDERS, HOUR, "updated_at"), FreshnessPromise(RETURNS, HOUR))
    return replace(contract(freshness=None), tables=(ORDERS, RETURNS), freshness=promises)


def test_both_events_name_the_tables_and_the_last_one_says_what_was_found() -> None:
    run = check_run(outcome("error"), outcome(element="returns.loaded_at"), of=two_tables())
    assert inputs(run, 0) == {"main.orders": [], "main.raw_returns": []}
    found = inputs(run)
    assert found["main.orders"] == [
        {
            "assertion": "freshness",
            "success": False,
            "column": "updated_at",
            "severity": "error",
            "name": "orders.updated_at",
            "description": "orders is stale",
            "expected": "at most 2 h",
            "actual": "3 h",
            "params": {},
        }
    ]
    assert [(one["success"], one["column"]) for one in found["main.raw_returns"]] == [(True, "loaded_at")]


def test_what_nobody_could_tell_is_no_assertion() -> None:
    run = check_run(Outcome(CheckStatus.UNKNOWN, "orders.updated_at", reason="down"))
    assert inputs(run) == {"main.orders": []}


def test_an_early_warning_is_a_promise_that_is_kept() -> None:
    [assertion] = inputs(check_run(outcome("warning")))["main.orders"]
    assert (assertion["success"], assertion["severity"]) == (True, "warn")


def test_a_quality_rule_is_called_as_the_standard_calls_it_and_the_score_is_no_tables() -> None:
    of = quality_contract(
        rule("orders.id: nulls", "nullValues", column="ID"),
        rule("orders: rows", "rowCount"),
        rule("returns: own", "sql", table=RETURNS),
    )
    light = Outcome(CheckStatus.PASS, "orders: rows", finding("warning", element="orders: rows"))
    run = check_run(
        outcome(element="orders.id: nulls"),
        light,
        outcome("error", element="returns: own"),
        outcome("error", element=SCORE),
        of=of,
        check=ViolationType.QUALITY,
    )
    told = {
        name: [(one["assertion"], one["success"], one.get("column"), one["severity"]) for one in assertions]
        for name, assertions in inputs(run).items()
    }
    assert told == {
        "main.orders": [("not_null", True, "ID", "warn"), ("row_count", False, None, "warn")],
        "main.raw_returns": [("custom_sql", False, None, "error")],
    }


def test_each_difference_of_a_schema_is_an_assertion_of_its_table() -> None:
    of = schema_contract(tables=2)
    drifted = Table(
        identifier="orders", columns=(Column(name="id", type="VARCHAR"), Column(name="amount", type="DECIMAL(10,2)"))
    )
    as_promised = Table(
        identifier="orders_2", columns=(Column(name="id", type="INTEGER"), Column(name="amount", type="DECIMAL(10,2)"))
    )
    facts = SchemaFacts((ObservedTable(drifted), ObservedTable(as_promised)), "duckdb")
    verdict = SchemaDriftCheck().judge(of, facts, Rules())
    found = inputs(check_run(*verdict.outcomes, of=of, check=ViolationType.SCHEMA_DRIFT, details=verdict.details))
    [difference] = found["main.orders"]
    assert (difference["success"], difference["column"], difference["actual"]) == (False, "id", "VARCHAR")
    [kept] = found["orders_2"]
    assert (kept["assertion"], kept["success"]) == ("schema_drift", True)


def test_a_sources_availability_is_no_tables() -> None:
    run = check_run(outcome(element=None), of=contract(availability=0.9), check=ViolationType.AVAILABILITY)
    assert inputs(run) == {}


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (("orders",), "warehouse.main.orders"),
        (("gold", "orders"), "warehouse.gold.orders"),
        (("lake", "gold", "orders"), "lake.gold.orders"),
    ],
)
def test_a_duckdb_table_is_called_as_dbt_calls_it(tmp_path: Path, table: tuple[str, ...], name: str) -> None:
    path = tmp_path / "warehouse.duckdb"
    assert duckdb_source(path).dataset_name(table) == DatasetName(namespace=f"duckdb://{path}", name=name)


def test_where_a_compute_cannot_name_a_table_the_source_does() -> None:
    found = told_source(ToldCompute()).dataset_name(("main", "orders"))
    assert found == DatasetName(namespace="told", name="main.orders")


URI = {"type": "string", "format": "uri"}
FACETS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "properties": {"_producer": URI, "_schemaURL": URI},
        "required": ["_producer", "_schemaURL"],
    },
}
NAMED = {"namespace": {"type": "string", "minLength": 1}, "name": {"type": "string", "minLength": 1}}
ASSERTION = {
    "type": "object",
    "properties": {
        "assertion": {"type": "string"},
        "success": {"type": "boolean"},
        "column": {"type": "string"},
        "severity": {"enum": ["error", "warn"]},
        "name": {"type": "string"},
        "description": {"type": "string"},
        "expected": {"type": "string"},
        "actual": {"type": "string"},
    },
    "required": ["assertion", "success"],
}
# What the standard asks of a run event, of its facets, and of the assertions (OpenLineage 2-0-2; facet 1-1-0).
EVENT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventTime": {"type": "string", "format": "date-time"},
        "producer": URI,
        "schemaURL": URI,
        "run": {
            "type": "object",
            "required": ["runId"],
            "properties": {"runId": {"type": "string", "format": "uuid"}, "facets": FACETS},
        },
        "job": {"type": "object", "required": ["namespace", "name"], "properties": {**NAMED, "facets": FACETS}},
        "inputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["namespace", "name"],
                "properties": {
                    **NAMED,
                    "facets": FACETS,
                    "inputFacets": {
                        **FACETS,
                        "properties": {
                            "dataQualityAssertions": {
                                "type": "object",
                                "required": ["assertions"],
                                "properties": {"assertions": {"type": "array", "items": ASSERTION}},
                            }
                        },
                    },
                },
            },
        },
    },
}


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(check_run(outcome()), id="kept"),
        pytest.param(check_run(outcome("warning")), id="an early warning"),
        pytest.param(check_run(outcome("error"), of=two_tables()), id="broken"),
        pytest.param(check_run(Outcome(CheckStatus.UNKNOWN, reason="down")), id="not known"),
        pytest.param(check_run(Outcome(CheckStatus.ERROR, reason="no zone")), id="not doable"),
        pytest.param(
            check_run(outcome(element=None), of=contract(availability=0.9), check=ViolationType.AVAILABILITY),
            id="without a table",
        ),
    ],
)
def test_events_and_their_facets_have_what_the_standard_asks_for(run: CheckRun) -> None:
    validator = jsonschema_rs.Draft202012Validator(EVENT, validate_formats=True)
    for event in events_of(run, named):
        validator.validate(json.loads(Serde.to_json(event)))
