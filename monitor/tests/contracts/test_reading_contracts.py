"""ODCS documents, right and wrong."""

from datetime import timedelta
from pathlib import Path

import pytest

from floe_core.errors import ConfigurationError, Problem, ValidationError
from floe_monitor.contracts.directory import read_directory
from floe_monitor.contracts.model import AvailabilityPromise, Contract
from floe_monitor.contracts.reading import examine_contract, parse_contract

pytestmark = pytest.mark.requirement("FR-004", "FR-008")

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.2.0
status: active
domain: Sales & More
dataProduct: shop
"""
TABLE = """\
schema:
  - name: orders
    physicalName: raw_orders_v2
    properties:
      - name: updated_at
        physicalName: UPDATED
        logicalType: timestamp
        logicalTypeOptions: {defaultTimezone: Europe/Berlin}
      - name: id
        logicalType: integer
"""
SERVERS = """\
servers:
  - {server: a, type: duckdb, schema: main, environment: dev}
  - {server: b, type: duckdb, schema: gold, environment: prod}
"""


def read(text: str, environment: str | None = None) -> Contract:
    return parse_contract(text, file="orders.yaml", environment=environment)


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ValidationError) as caught:
        read(text)
    return tuple(caught.value.problems)


def sla(*properties: str) -> str:
    return "slaProperties:\n" + "".join(f"  - {{{text}}}\n" for text in properties)


def test_a_contract_is_known_by_domain_product_id_and_version() -> None:
    assert str(read(HEAD).id) == "sales-more.shop/orders:1.2.0"


def test_a_contract_without_domain_and_product_still_has_an_identity() -> None:
    text = "apiVersion: v3.0.2\nkind: DataContract\nid: orders\nversion: v1\nstatus: draft\n"
    assert str(read(text).id) == "default.default/orders:v1"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("id: " + "o" * 300, "Domain, data product and id are 316 characters together."),
        ('version: "1.' + "0" * 60 + '"', "The version is 62 characters long."),
        ('version: "1.0\\0"', "The version holds a space, a colon, a slash or a character outside ASCII."),
    ],
)
def test_an_identity_that_could_not_be_kept_is_a_problem_of_its_contract(given: str, found: str) -> None:
    key = given.partition(":")[0]
    text = "\n".join(given if line.startswith(f"{key}:") else line for line in HEAD.splitlines())
    assert [problem.what for problem in problems_of(text + "\n")] == [found]


@pytest.mark.parametrize("name", ["freshness", "Latency", "ly"])
def test_freshness_and_latency_both_bound_the_age(name: str) -> None:
    promise = read(HEAD + TABLE + sla(f"property: {name}, value: 4, unit: h, element: orders.updated_at")).freshness[0]
    assert promise.threshold == timedelta(hours=4)
    assert promise.element == "orders.UPDATED"
    assert promise.table.location.parts == ("raw_orders_v2",)
    assert promise.time_zone == "Europe/Berlin"


def test_of_freshness_and_latency_of_one_column_the_shorter_holds() -> None:
    contract = read(
        HEAD
        + TABLE
        + sla(
            "property: freshness, value: PT6H, element: orders.updated_at",
            "property: latency, value: PT2H, element: orders.updated_at",
        )
    )
    assert [promise.threshold for promise in contract.freshness] == [timedelta(hours=2)]


@pytest.mark.parametrize(
    ("element", "column"),
    [
        pytest.param(", element: orders.updated_at", "UPDATED", id="table and column"),
        pytest.param(", element: updated_at", "UPDATED", id="a column of the only table"),
        pytest.param(", element: orders", None, id="the table: the column is to be found"),
        pytest.param("", None, id="nothing, with one table"),
    ],
)
def test_an_element_names_a_table_and_a_column(element: str, column: str | None) -> None:
    promise = read(HEAD + TABLE + sla(f"property: freshness, value: PT6H{element}")).freshness[0]
    assert (promise.table.name, promise.column) == ("orders", column)


def test_availability_is_promised_as_a_percentage() -> None:
    assert read(HEAD + sla("property: availability, value: 99.9%")).availability == AvailabilityPromise(0.999)


def test_a_service_level_that_is_not_checked_is_remarked() -> None:
    assert read(HEAD + sla("property: retention, value: 3, unit: y")).remarks == (
        "The service level retention is declared and not checked.",
    )


def test_the_environment_chooses_the_server() -> None:
    text = HEAD + SERVERS + TABLE
    assert read(text).tables[0].location.parts == ("main", "raw_orders_v2")
    assert read(text, "prod").tables[0].location.parts == ("gold", "raw_orders_v2")


def test_an_environment_without_a_server_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ValidationError, match=r"Environments here: dev, prod"):
        read(HEAD + SERVERS + TABLE, "staging")


def test_every_problem_is_told_with_file_line_and_field() -> None:
    problems = problems_of(
        HEAD.replace("status: active\n", "")
        + TABLE
        + sla(
            "property: freshness, value: soon, element: orders.updated_at",
            "property: freshness, value: PT1H, element: orders.changed",
            "property: freshness, value: PT1H, element: customers.updated_at",
            "property: availability, value: often",
        )
    )
    told = [(problem.where.file, problem.where.line, problem.where.path) for problem in problems]
    assert told == [
        ("orders.yaml", 1, "status"),
        ("orders.yaml", 18, "slaProperties[0].value"),
        ("orders.yaml", 19, "slaProperties[1].element"),
        ("orders.yaml", 20, "slaProperties[2].element"),
        ("orders.yaml", 21, "slaProperties[3].value"),
    ]
    assert "Columns: updated_at, id" in (problems[2].remedy or "")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(HEAD.replace("v3.1.0", "v2.2.2"), "not understood", id="an ODCS version before 3"),
        pytest.param(HEAD.replace("DataContract", "Table"), "kind is Table", id="another kind"),
        pytest.param(HEAD.replace("1.2.0", "1.2"), "version", id="a version that YAML reads as a number"),
        pytest.param(HEAD.replace("1.2.0", "1 2"), "holds a space", id="a version with a space"),
        pytest.param(HEAD + "models: {orders: {}}\n", "There is no such key here", id="a shape from before ODCS 3"),
        pytest.param(HEAD + "schema:\n  - {physicalName: x}\n", "without `name`", id="a nameless table"),
        pytest.param(HEAD + "schema:\n  - {name: x}\n  - {name: x}\n", "described twice", id="a table twice"),
        pytest.param("- 1\n- 2\n", "One mapping", id="no mapping"),
        pytest.param("", "Begin with `apiVersion: v3.1.0`", id="nothing: told how a contract begins"),
        pytest.param("a: [1\n", "not valid YAML", id="no YAML"),
    ],
)
def test_a_document_that_is_no_contract_is_refused_with_the_reason(text: str, says: str) -> None:
    assert any(says in problem.what for problem in problems_of(text)) or says in str(_error(text))


def _error(text: str) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        read(text)
    return caught.value


SCHEMA = """\
schema:
  - name: orders
    customProperties: [{property: sortedBy, value: [day, id]}]
    properties:
      - {name: id, logicalType: integer, physicalType: int, required: true, primaryKey: true, primaryKeyPosition: 2}
      - {name: shop, primaryKey: true, primaryKeyPosition: 1}
      - {name: day, logicalType: timestamp, logicalTypeOptions: {timezone: true}, partitioned: true}
      - {name: where, logicalType: object, physicalType: geography, properties: [{name: city, required: false}]}
      - {name: tags, logicalType: array, items: {logicalType: string}}
      - {name: prices, logicalType: map, map: {key: {logicalType: string}, value: {physicalType: "decimal(8,2)"}}}
"""


@pytest.mark.requirement("FR-011", "FR-012")
def test_a_schema_is_read_with_its_nested_parts_and_constraints() -> None:
    contract = read(HEAD + SCHEMA)
    [table] = contract.tables
    assert (table.primary_key, table.partitioned_by, table.sorted_by) == (("shop", "id"), ("day",), ("day", "id"))
    identifier, shop, day, where, tags, prices = table.columns
    assert (identifier.physical_type, identifier.required, shop.required, day.with_zone) == ("int", True, None, True)
    assert [(part.name, part.required) for part in where.children] == [("city", False)]
    assert [(part.name, part.logical_type) for part in tags.children] == [("element", "string")]
    assert [(part.name, part.physical_type) for part in prices.children] == [("key", None), ("value", "decimal(8,2)")]
    [remark] = contract.remarks
    assert remark.startswith("The physicalType 'geography' of orders.where is not understood;")


def test_a_bad_contract_never_stops_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.odcs.yaml").write_text(HEAD)
    (tmp_path / "b.yaml").write_text(HEAD.replace("id: orders", "id: customers"))
    (tmp_path / "c.yaml").write_text("nonsense: true\n")
    (tmp_path / "d.yaml").write_text(HEAD)
    (tmp_path / "e.txt").write_text("not looked at")
    (tmp_path / "..data.yaml").write_text("not looked at")
    found = read_directory(tmp_path)
    assert [contract.id.contract for contract in found.contracts] == ["orders", "customers"]
    assert [Path(error.where.file or "").name for error in found.errors if error.where] == ["c.yaml", "d.yaml"]
    assert "there twice" in found.errors[1].what


MIXED = """\
schema:
  - name: orders
    quality:
      - {name: good, metric: rowCount, mustBeGreaterThan: 0}
      - {name: text, metric: rowCount, mustBe: many}
      - {name: whole table, metric: nullValues, mustBe: 0}
      - {name: one end, metric: rowCount, mustBeBetween: [1]}
      - {name: no list, metric: rowCount, mustBeBetween: 1 to 2}
      - no rule at all
      - {name: typo, type: sqll, query: SELECT 1, mustBe: 1}
      - {name: endless, metric: rowCount, mustBeLessThan: .inf}
    properties:
      - name: email
        quality: not a list
      - name: updated_at
        quality:
          - {name: also good, metric: nullValues}
      - name: lines
        logicalType: array
        items:
          logicalType: object
          properties:
            - {name: sku, logicalType: string, quality: [{metric: [1]}]}
slaProperties:
  - {property: freshness, value: PT6H, element: orders.updated_at}
  - {property: latency, value: soon, element: orders.updated_at}
  - {property: availability, value: often}
  - {value: 1}
"""


@pytest.mark.requirement("FR-015", "FR-021")
def test_a_wrong_promise_costs_itself_only_and_is_told_with_its_place() -> None:
    examined = examine_contract(HEAD + MIXED, file="orders.yaml")
    assert [rule.element for rule in examined.contract.quality] == ["orders: good", "orders.updated_at: also good"]
    assert [promise.element for promise in examined.contract.freshness] == ["orders.updated_at"]
    assert examined.contract.availability is None
    assert [(problem.where.line, problem.where.path) for problem in examined.refused] == [
        (12, "schema[0].quality[1].mustBe"),
        (13, "schema[0].quality[2]"),
        (14, "schema[0].quality[3].mustBeBetween"),
        (15, "schema[0].quality[4].mustBeBetween"),
        (16, "schema[0].quality[5]"),
        (17, "schema[0].quality[6].type"),
        (18, "schema[0].quality[7].mustBeLessThan"),
        (21, "schema[0].properties[0].quality"),
        (30, "schema[0].properties[2].items.properties[0].quality[0].metric"),
        (33, "slaProperties[1].value"),
        (34, "slaProperties[2].value"),
        (35, "slaProperties[3]"),
    ]
    assert len(problems_of(HEAD + MIXED)) == len(examined.refused)


def test_a_wrong_promise_does_not_excuse_a_wrong_contract() -> None:
    with pytest.raises(ValidationError) as caught:
        examine_contract(HEAD.replace("kind: DataContract", "kind: Table") + MIXED, file="orders.yaml")
    assert len(caught.value.problems) == 13


def test_a_directory_watches_the_promises_that_are_right_and_names_the_others(tmp_path: Path) -> None:
    (tmp_path / "orders.yaml").write_text(HEAD + MIXED)
    found = read_directory(tmp_path)
    assert len(found.contracts[0].quality) == 2
    assert found.kept == ()
    assert "schema[0].quality[1].mustBe" in found.problems[0]


@pytest.mark.parametrize("version", ["v3.0.0", "v3.0.2", "v3.1.0", "v3.2.0"])
def test_each_version_of_odcs_3_is_understood(version: str) -> None:
    assert read(HEAD.replace("v3.1.0", version) + MIXED.partition("    quality:")[0]).tables[0].name == "orders"


@pytest.mark.parametrize("version", ["v3.0.2", "v3.1.0"])
def test_odcs_asks_for_a_status_until_3_1(version: str) -> None:
    problems = problems_of(HEAD.replace("v3.1.0", version).replace("status: active\n", ""))
    assert [problem.what for problem in problems] == ["`status` is missing."]


def test_odcs_3_2_asks_for_no_status() -> None:
    assert read(HEAD.replace("v3.1.0", "v3.2.0").replace("status: active\n", "")).id.version == "1.2.0"


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such directory"):
        read_directory(tmp_path / "nowhere")


def test_the_example_contract_can_be_watched() -> None:
    folder = Path(__file__).parents[3] / "examples" / "contracts"
    found = read_directory(folder)
    assert found.errors == ()
    assert [str(contract.id) for contract in found.contracts] == ["sales.shop/orders:1.0.0"]
    assert found.contracts[0].consumers == ("finance-dashboard", "revenue-forecast")
