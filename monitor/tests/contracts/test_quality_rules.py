"""Quality rules of ODCS documents, as checks take them."""

import pytest

from floe_core.errors import Problem, ValidationError
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity
from floe_core.plugin_interfaces.quality import Dimension, SeverityLevel
from floe_monitor.contracts.model import Contract
from floe_monitor.contracts.reading import parse_contract

pytestmark = pytest.mark.requirement("FR-015", "FR-004")

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.2.0
status: active
schema:
  - name: orders
"""


def contract(*, table: str = "", column: str = "") -> str:
    of_table = f"    quality:\n      - {{{table}}}\n" if table else ""
    of_column = f"        quality:\n          - {{{column}}}\n" if column else ""
    columns = f"    properties:\n      - name: email\n        physicalName: E_MAIL\n{of_column}      - name: id\n"
    return HEAD + of_table + columns


def read(**rules: str) -> Contract:
    return parse_contract(contract(**rules), file="orders.yaml")


def problem(**rules: str) -> Problem:
    with pytest.raises(ValidationError) as caught:
        read(**rules)
    (found,) = caught.value.problems
    return found


def test_a_columns_rule_is_about_the_column_as_the_source_calls_it() -> None:
    (rule,) = read(column="metric: nullValues, mustBeLessThan: 5, unit: percent").quality
    assert rule.element == "orders.email: nullValues"
    assert rule.check.column == "E_MAIL"
    assert rule.check.dimension is Dimension.COMPLETENESS
    assert rule.check.parameters == {
        "metric": "nullValues",
        "operator": "mustBeLessThan",
        "bound": (5,),
        "columns": ("E_MAIL",),
        "unit": "percent",
    }


def test_a_tables_rule_may_be_about_several_columns() -> None:
    (rule,) = read(table="metric: duplicateValues, mustBe: 0, arguments: {properties: [email, id]}").quality
    assert rule.element == "orders: duplicateValues"
    assert rule.check.parameters["columns"] == ("E_MAIL", "id")


def test_an_sql_rule_carries_its_query() -> None:
    (rule,) = read(table="name: no refunds, type: sql, query: SELECT 1, mustBeBetween: [0, 2]").quality
    assert (rule.element, rule.check.type) == ("orders: no refunds", "sql")
    assert rule.check.parameters["query"] == "SELECT 1"
    assert rule.check.parameters["bound"] == (0, 2)


@pytest.mark.parametrize(
    ("written", "metric"),
    [
        ("rule: nullCheck", "nullValues"),
        ("rule: uniqueCheck", "duplicateValues"),
        ("rule: duplicateCount, mustBeLessThan: 10", "duplicateValues"),
        ("rule: validValues, validValues: [a, b]", "invalidValues"),
    ],
)
def test_the_names_of_the_first_versions_are_understood(written: str, metric: str) -> None:
    (rule,) = read(column=written).quality
    assert rule.check.type == metric


def test_what_is_valid_and_what_is_missing_are_taken_as_they_are_written() -> None:
    (valid,) = read(column="metric: invalidValues, arguments: {validValues: [a, 1, null], pattern: '^a'}").quality
    assert valid.check.parameters["valid_values"] == ("a", 1, None)
    assert valid.check.parameters["pattern"] == "^a"
    (missing,) = read(column="metric: missingValues, arguments: {missingValues: [n/a]}").quality
    assert missing.check.parameters["missing_values"] == ("n/a",)


@pytest.mark.parametrize(
    ("word", "severity", "weight"),
    [
        ("", ViolationSeverity.ERROR, SeverityLevel.WARNING),
        (", severity: info", ViolationSeverity.INFO, SeverityLevel.INFO),
        (", severity: Warning", ViolationSeverity.WARNING, SeverityLevel.WARNING),
        (", severity: high", ViolationSeverity.ERROR, SeverityLevel.CRITICAL),
    ],
)
def test_a_rules_severity_is_that_of_its_finding(word: str, severity: ViolationSeverity, weight: SeverityLevel) -> None:
    (rule,) = read(column=f"metric: nullValues{word}").quality
    assert (rule.severity, rule.check.severity) == (severity, weight)


def test_the_standards_dimensions_are_brought_to_the_scores() -> None:
    (rule,) = read(column="metric: nullValues, dimension: conformity").quality
    assert rule.check.dimension is Dimension.VALIDITY


def test_rules_of_one_name_are_told_apart() -> None:
    found = read(table="metric: rowCount, mustBe: 1}\n      - {metric: rowCount, mustBeLessThan: 9").quality
    assert [rule.element for rule in found] == ["orders: rowCount", "orders: rowCount #2"]


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("type: text, description: good", "its type is text"),
        ("type: custom, engine: soda", "its type is custom"),
        ("metric: mood", "the metric mood is not known"),
        ("rule: countCheck", "rowCount is compared with nothing"),
        ("type: sql, query: SELECT 1", "sql is compared with nothing"),
    ],
)
def test_what_cannot_be_checked_is_told_and_does_no_harm(written: str, reason: str) -> None:
    found = read(table=written)
    assert found.quality == ()
    assert found.remarks == (f"A quality rule of orders is not checked: {reason}.",)


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("description: nothing", "A quality rule without `metric`."),
        ("type: sql, mustBe: 1", "An SQL rule without `query`."),
        ("metric: rowCount, mustBe: 1, mustNotBe: 2", "A rule compares by one operator; here: mustBe and mustNotBe."),
        ("metric: rowCount, mustBe: many", "`mustBe` is not a number."),
        ("metric: nullValues", "`nullValues` of a whole table."),
        (
            "metric: duplicateValues, arguments: {properties: [e]}",
            "The contract describes no column e of orders.",
        ),
    ],
)
def test_a_mistake_in_a_rule_is_told_with_its_line(written: str, what: str) -> None:
    found = problem(table=written)
    assert found.what == what
    assert found.where.line == 9


def test_invalid_values_need_to_know_what_is_valid() -> None:
    assert problem(column="metric: invalidValues").what == "`invalidValues` does not say what is valid."


def test_rules_of_what_is_inside_a_column_are_told_as_not_checked() -> None:
    inner = "{name: street, quality: [{metric: nullValues}]}"
    listed = "{name: tags, items: {logicalType: object, properties: [{name: key, quality: [{metric: nullValues}]}]}}"
    found = parse_contract(
        f"{HEAD}    properties: [{{name: address, properties: [{inner}]}}, {listed}]\n", file="orders.yaml"
    )
    assert found.quality == ()
    assert found.remarks == (
        "The quality rules of orders.address.street are not checked: it is a part of a column.",
        "The quality rules of orders.tags[].key are not checked: it is a part of a column.",
    )
