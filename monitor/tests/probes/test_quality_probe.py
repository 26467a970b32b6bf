"""What is asked of a source to judge its quality."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from floe_core.errors import ConnectionError  # noqa: A004 - the interfaces' name
from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces.compute import ComputeConfig
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.quality import QualityPlugin
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_monitor.contracts.model import Contract
from floe_monitor.contracts.reading import parse_contract
from floe_monitor.probes.quality import NO_PLUGIN, observe_quality
from floe_monitor.probes.source import Source
from monitor.tests.builders import HOUR
from monitor.tests.sources import ToldCompute, duckdb_source, make_orders, told_source

pytestmark = pytest.mark.requirement("FR-015", "FR-016")

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
      - {name: newest, type: sql, query: "SELECT COUNT(*) FROM {object} WHERE updated_at IS NULL", mustBe: 0}
    properties:
      - name: updated_at
        quality: [{metric: nullValues}]
  - name: returns
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
"""


def contract() -> Contract:
    return parse_contract(CONTRACT, file="orders.yaml")


def odcs() -> QualityPlugin:
    return PluginRegistry().create(PluginKind.QUALITY, PluginChoice(type="odcs"))


@pytest.fixture
def warehouse(tmp_path: Path) -> Source:
    make_orders(tmp_path / "w.duckdb", age=HOUR)
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        connection.execute("CREATE TABLE returns (id INTEGER)")
    return replace(duckdb_source(tmp_path / "w.duckdb"), quality=odcs())


async def test_the_rules_of_all_tables_are_counted_and_scored(warehouse: Source) -> None:
    facts = await observe_quality(contract(), warehouse)
    assert {name: result.passed for name, result in facts.results.items()} == {
        "orders: rowCount": True,
        "orders: newest": True,
        "orders.updated_at: nullValues": True,
        "returns: rowCount": False,
    }
    assert facts.score.checks_passed == 3
    assert facts.score.overall is not None


async def test_each_table_is_asked_once() -> None:
    compute = ToldCompute(rows=list)
    await observe_quality(contract(), replace(told_source(compute), quality=odcs()))
    first = [query for query in compute.queries if query.count(" AS q") == 3]
    assert len(first) == 1


@pytest.mark.requirement("FR-018")
async def test_without_a_quality_plugin_nothing_is_asked() -> None:
    compute = ToldCompute()
    facts = await observe_quality(contract(), told_source(compute))
    assert facts.skipped == NO_PLUGIN
    assert compute.queries == []


@pytest.mark.requirement("FR-018")
async def test_a_plugin_that_does_not_speak_the_dialect_is_not_asked() -> None:
    compute = ToldCompute()
    compute.sql_dialect = "klingon"
    facts = await observe_quality(contract(), replace(told_source(compute), quality=odcs()))
    assert facts.skipped == "The quality plugin odcs cannot query klingon."


@pytest.mark.requirement("FR-022")
async def test_a_source_that_is_gone_tells_nothing_about_quality() -> None:
    def gone() -> list[tuple[object, ...]]:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        await observe_quality(contract(), replace(told_source(ToldCompute(rows=gone)), quality=odcs()))


@pytest.mark.requirement("FR-022")
async def test_a_table_that_does_not_answer_costs_its_own_rules_only(warehouse: Source) -> None:
    compute = warehouse.compute
    assert compute is not None
    fetch = compute.fetch_rows

    def cut_off_for_orders(config: ComputeConfig, sql: str, timeout_seconds: float) -> list[tuple[Any, ...]]:
        if "orders" in sql:
            raise ConnectionError("cut off")
        return fetch(config, sql, timeout_seconds)

    compute.fetch_rows = cut_off_for_orders  # type: ignore[method-assign]  # this one object only
    facts = await observe_quality(contract(), warehouse)
    assert list(facts.results) == ["returns: rowCount"]
    assert facts.uncounted == {"orders": "cut off"}
