"""Whatever stands where a promise should: the other promises are read, and nothing but a told error comes of it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_core.manifest.document import Document
from floe_monitor.contracts.pruning import promise_at
from floe_monitor.contracts.reading import examine_contract, examine_document

pytestmark = pytest.mark.requirement("FR-004", "FR-015")

WORDS = st.sampled_from(
    ["metric", "rule", "type", "mustBe", "mustBeBetween", "arguments", "query", "unit", "name", "severity", "property",
     "value", "element", "sql", "library", "rowCount", "nullValues", "freshness", "availability", "percent", "PT1H", ""]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=8,
)
GOOD_RULE = {"name": "good", "metric": "rowCount", "mustBeGreaterThan": 0}
GOOD_LEVEL = {"property": "freshness", "value": "PT6H", "element": "orders"}


def document(rule: object, level: object, of_column: object) -> dict[str, object]:
    return {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "orders",
        "version": "1.0.0",
        "status": "active",
        "schema": [
            {
                "name": "orders",
                "quality": [rule, GOOD_RULE],
                "properties": [{"name": "id", "quality": [of_column]}],
            }
        ],
        "slaProperties": [level, GOOD_LEVEL],
    }


@settings(max_examples=60, deadline=None)
@given(rule=VALUES, level=VALUES, of_column=VALUES)
def test_no_promise_stops_the_others(rule: object, level: object, of_column: object) -> None:
    content = document(rule, level, of_column)
    examined = examine_document(Document("orders.yaml", content, {}))
    assert "orders: good" in [found.element for found in examined.contract.quality]
    assert "orders" in [promise.element for promise in examined.contract.freshness]
    assert all(str(problem) for problem in examined.refused)
    assert examined.contract.document is content


@settings(max_examples=50, deadline=None)
@given(rule=VALUES)
def test_a_wrong_rule_is_told_with_its_place_in_the_text(rule: object) -> None:
    text = json.dumps(document(rule, GOOD_LEVEL, GOOD_RULE), indent=1).replace("Infinity", "1").replace("NaN", "1")
    for problem in examine_contract(text, file="orders.yaml").refused:
        assert problem.where.file == "orders.yaml"
        assert (problem.where.line or 0) > 1


@pytest.mark.parametrize(
    ("path", "promise"),
    [
        (("slaProperties", 1, "value"), ("slaProperties", 1)),
        (("schema", 0, "quality", 2, "mustBe"), ("schema", 0, "quality", 2)),
        (("schema", 0, "quality"), ("schema", 0, "quality")),
        (("schema", 0, "properties", 1, "items", "quality", 0), ("schema", 0, "properties", 1, "items", "quality", 0)),
        (("schema", 0, "name"), None),
        (("kind",), None),
        ((), None),
    ],
)
def test_a_promise_is_a_rule_or_a_service_level(
    path: tuple[str | int, ...], promise: tuple[str | int, ...] | None
) -> None:
    assert promise_at(path) == promise
