"""ODCS rules: what they count, on real tables; and what becomes of rules that cannot be counted."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_core.errors import ConfigurationError, ConnectionError, ExecutionError  # noqa: A004 - the interface's name
from floe_core.plugin_interfaces.quality import QualityCheck, QualityCheckResult, QualitySuite
from floe_core.testing.base_classes.base_quality_plugin_tests import BaseQualityPluginTests
from floe_quality_odcs import OdcsQualityPlugin

pytestmark = pytest.mark.requirement("FR-015", "FR-017")

Row = tuple[Any, ...]
Query = Callable[[str], list[Row]]
DIALECTS = ("duckdb", "postgres", "snowflake", "bigquery", "spark", "trino", "redshift", "databricks", "mysql")


class TestOdcsQualityPlugin(BaseQualityPluginTests):
    @pytest.fixture
    def plugin(self) -> OdcsQualityPlugin:
        return OdcsQualityPlugin.from_mapping({})


class Asked:
    """Queries of a real database, remembered."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.queries: list[str] = []

    def __call__(self, sql: str) -> list[Row]:
        self.queries.append(sql)
        try:
            return self._connection.execute(sql).fetchall()
        except duckdb.Error as error:
            raise ExecutionError(type(error).__name__) from None


@pytest.fixture
def orders() -> Iterator[Asked]:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, email TEXT, state TEXT, amount DECIMAL(10, 2))")
        connection.execute(
            "INSERT INTO orders VALUES (1, 'a@x', 'paid', 5), (2, NULL, 'open', 7), (2, '', 'lost', NULL), "
            "(NULL, 'b@x', NULL, 7)"
        )
        yield Asked(connection)


def rule(metric: str, column: str | None = None, **parameters: Any) -> dict[str, Any]:
    columns = {"columns": (column,)} if column else {}
    return {"metric": metric, "operator": "mustBe", "bound": (0,)} | columns | parameters


def checks(*rules: dict[str, Any]) -> tuple[QualityCheck, ...]:
    return tuple(
        QualityCheck(name=f"rule {number}", type=given["metric"], parameters=given)
        for number, given in enumerate(rules)
    )


def run(query: Query, *rules: dict[str, Any], table: Sequence[str] = ("orders",), **suite: Any) -> list[Any]:
    plugin = OdcsQualityPlugin()
    asked = {"query": query, "dialect": "duckdb", "table": table}
    found = plugin.run_suite(QualitySuite(model_name="orders", checks=checks(*rules), **suite), asked)
    assert found.passed == all(result.passed for result in found.checks)
    return list(found.checks)


def measured(result: QualityCheckResult) -> object:
    return result.details.get("measured")


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (rule("rowCount"), 4),
        (rule("nullValues", "email"), 1),
        (rule("missingValues", "email"), 2),
        (rule("missingValues", "email", missing_values=("a@x",)), 1),
        (rule("missingValues", "amount"), 1),
        (rule("invalidValues", "state", valid_values=("paid", "open")), 1),
        (rule("invalidValues", "id", valid_values=(1,)), 2),
        (rule("invalidValues", "id", valid_values=(0, 1, "none")), 2),
        (rule("invalidValues", "email", pattern="^[a-z]@"), 1),
        (rule("duplicateValues", "id"), 1),
        (rule("duplicateValues", columns=("id", "amount")), 0),
        (rule("sql", query="SELECT COUNT(*) FROM {object} WHERE amount > 5"), 2),
        (rule("sql", query="SELECT COUNT(*) FROM {object} WHERE regexp_matches(state, '^[a-z]{4}$')"), 3),
        (rule("sql", "amount", query="SELECT SUM(${property}) FROM ${table};"), 19),
        (rule("nullValues", "email", unit="percent"), 25),
    ],
)
def test_each_metric_counts_what_the_page_says(orders: Asked, given: dict[str, Any], count: int) -> None:
    assert measured(run(orders, given)[0]) == count


def test_all_rules_of_a_table_are_one_query(orders: Asked) -> None:
    found = run(
        orders,
        rule("rowCount"),
        rule("nullValues", "email"),
        rule("duplicateValues", columns=("id", "amount")),
        rule("sql", query="SELECT MAX(amount) FROM {object}"),
    )
    assert [measured(result) for result in found] == [4, 1, 0, 7]
    assert len(orders.queries) == 1


def test_one_bad_rule_costs_itself_only(orders: Asked) -> None:
    found = run(orders, rule("rowCount"), rule("nullValues", "no_such_column"), rule("nullValues", "id"))
    assert [measured(result) for result in found] == [4, None, 1]
    assert found[1].error_message == "BinderException"
    assert not found[1].passed


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM orders",
        "SELECT 1; SELECT 2",
        "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT COUNT(*) FROM gone",
        "SELECT (((",
        "SELECT id FROM {object} LIMIT 1 FOR UPDATE",
        "SELECT id INTO copied FROM {object}",
        "SELECT COUNT(*) FROM {warehouse}",
        "SELECT COUNT({property}) FROM {object}",
    ],
)
def test_what_is_no_reading_query_of_the_table_is_never_sent(orders: Asked, query: str) -> None:
    assert run(orders, rule("sql", query=query))[0].error_message is not None
    assert orders.queries == []


@pytest.mark.requirement("FR-025")
def test_a_query_that_gives_a_text_is_refused_without_repeating_it(orders: Asked) -> None:
    result = run(orders, rule("sql", query="SELECT MAX(email) FROM {object}"))[0]
    assert result.error_message == "The query gave str, not a number."
    assert "b@x" not in result.model_dump_json()


@pytest.mark.parametrize(
    ("operator", "bound", "holds"),
    [
        ("mustBe", (4,), True),
        ("mustNotBe", (4,), False),
        ("mustBeGreaterThan", (4,), False),
        ("mustBeGreaterOrEqualTo", (4,), True),
        ("mustBeLessThan", (4,), False),
        ("mustBeLessOrEqualTo", (4,), True),
        ("mustBeBetween", (4, 9), True),
        ("mustNotBeBetween", (1, 4), False),
        ("mustBeBetween", (5, 9), False),
    ],
)
def test_each_operator_compares_as_it_is_called(
    orders: Asked, operator: str, bound: tuple[int, ...], holds: bool
) -> None:
    assert run(orders, rule("rowCount", operator=operator, bound=bound))[0].passed is holds


def test_promise_and_measure_are_told_in_words(orders: Asked) -> None:
    given = rule("nullValues", "email", operator="mustBeLessThan", bound=(5,), unit="percent")
    assert run(orders, given)[0].details == {
        "measured": 25.0,
        "expected": "less than 5 percent",
        "actual": "25 percent",
        "rows": 4,
    }


def test_of_an_empty_table_nothing_is_bad(orders: Asked) -> None:
    orders("DELETE FROM orders")
    bad = [rule("nullValues", "id", unit="percent"), rule("duplicateValues", columns=("id", "email"))]
    assert [measured(result) for result in run(orders, *bad)] == [0, 0]


@pytest.mark.parametrize(
    "given",
    [
        {"metric": "nullValues", "operator": "mustBe", "bound": (0,)},
        {"metric": "rowCount", "operator": "mustBeBetween", "bound": (0,)},
        {"metric": "invalidValues", "operator": "mustBe", "bound": (0,), "columns": ("id",)},
        {"metric": "sql", "operator": "mustBe", "bound": (0,)},
        {"metric": "mood", "operator": "mustBe", "bound": (0,)},
    ],
)
def test_an_incomplete_rule_is_told_and_the_others_are_counted(orders: Asked, given: dict[str, Any]) -> None:
    broken, whole = run(orders, given, rule("rowCount", operator="mustBe", bound=(4,)))
    assert broken.error_message
    assert whole.passed


@pytest.mark.parametrize(
    ("valid", "literals"),
    [((0, 1, 2), "0, 1, 2"), ((True, False), "TRUE, FALSE"), ((1, "a"), "'1', 'a'"), ((True, "a"), "'true', 'a'")],
)
def test_numbers_stay_numbers_and_booleans_booleans(orders: Asked, valid: tuple[object, ...], literals: str) -> None:
    run(orders, rule("invalidValues", "id", valid_values=valid))
    assert f"({literals})" in orders.queries[0]


def test_a_rule_of_the_same_name_as_a_refused_one_is_counted(orders: Asked) -> None:
    connection = {"query": orders, "dialect": "duckdb", "table": ["orders"]}
    given = [{"metric": "mood", "name": "rows"}, rule("rowCount") | {"name": "rows"}]
    refused, counted = OdcsQualityPlugin().validate_expectations("orders", given, connection)
    assert (refused.error_message is None, measured(counted)) == (False, 4)


def test_a_source_that_is_gone_is_not_a_broken_rule() -> None:
    def gone(_sql: str) -> list[Row]:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        run(gone, rule("rowCount"), rule("rowCount"))


def test_a_source_that_used_up_the_time_is_not_asked_rule_by_rule() -> None:
    asked: list[str] = []

    def slow(sql: str) -> list[Row]:
        asked.append(sql)
        raise ExecutionError("The query took longer than its timeout.")

    with pytest.raises(ExecutionError, match="took longer"):
        run(slow, rule("rowCount"), rule("rowCount"), timeout_seconds=1e-9)
    assert len(asked) == 1


def test_rules_switched_off_are_left_out_and_a_suite_may_end_at_the_first_that_fails(orders: Asked) -> None:
    suite = checks(rule("nullValues", "email"), rule("rowCount"), rule("nullValues", "state"))
    connection = {"query": orders, "dialect": "duckdb", "table": ["orders"]}
    off = (suite[0].model_copy(update={"enabled": False}), *suite[1:])
    found = OdcsQualityPlugin().run_suite(QualitySuite(model_name="o", checks=off, fail_fast=True), connection)
    assert [result.check_name for result in found.checks] == ["rule 1"]


def test_a_plugin_that_is_not_told_how_to_query_says_so() -> None:
    with pytest.raises(ConfigurationError, match="not told how to query"):
        OdcsQualityPlugin().run_checks("orders", "orders", {"checks": checks(rule("rowCount"))})
    with pytest.raises(ConfigurationError, match="knows no suite"):
        OdcsQualityPlugin().run_checks("orders", "orders")


def test_rules_in_the_engines_own_words_are_run_as_they_are(orders: Asked) -> None:
    connection = {"query": orders, "dialect": "duckdb", "table": ["orders"]}
    given = [rule("rowCount") | {"name": "rows"}, rule("nullValues", "state")]
    found = OdcsQualityPlugin().validate_expectations("orders", given, connection)
    assert [(result.check_name, measured(result)) for result in found] == [("rows", 4), ("rule 2", 1)]
    suite = OdcsQualityPlugin().run_checks(
        "mine", "orders", {"checks": checks(given[1]), "connection_config": connection}
    )
    assert (suite.suite_name, len(suite.checks)) == ("mine", 1)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_metric_can_be_written_for_every_dialect(dialect: str) -> None:
    sent: list[str] = []

    def answers(sql: str) -> list[Row]:
        sent.append(sql)
        return [(1,) * 7]

    rules = [
        rule("rowCount"),
        rule("nullValues", "e"),
        rule("missingValues", "e"),
        rule("invalidValues", "e", valid_values=("a", "b"), pattern="^x"),
        rule("duplicateValues", columns=("e", "f")),
        rule("sql", query="SELECT COUNT(*) FROM {object}"),
    ]
    connection = {"query": answers, "dialect": dialect, "table": ("Main", "or ders")}
    OdcsQualityPlugin().run_suite(QualitySuite(model_name="o", checks=checks(*rules)), connection)
    assert len(sent) == 1
    parsed = sqlglot.parse_one(sent[0], dialect=dialect)
    assert {table.name for table in parsed.find_all(sqlglot.exp.Table)} == {"or ders"}


ROWS = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 3)), st.one_of(st.none(), st.sampled_from(["", "a", "b", "it's"]))),
    max_size=12,
)


@settings(max_examples=60)
@given(rows=ROWS)
def test_the_source_counts_what_a_person_would(rows: list[tuple[int | None, str | None]]) -> None:
    pairs = Counter(row for row in rows if None not in row)
    numbers = Counter(number for number, _ in rows if number is not None)
    expected = [
        len(rows),
        sum(text is None for _, text in rows),
        sum(text in {None, ""} for _, text in rows),
        sum(text not in {None, "a", "it's"} for _, text in rows),
        sum(count - 1 for count in numbers.values()),
        sum(count - 1 for count in pairs.values()),
    ]
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, state TEXT)")
        if rows:
            connection.executemany("INSERT INTO orders VALUES (?, ?)", rows)
        found = run(
            Asked(connection),
            rule("rowCount"),
            rule("nullValues", "state"),
            rule("missingValues", "state"),
            rule("invalidValues", "state", valid_values=("a", "it's")),
            rule("duplicateValues", "id"),
            rule("duplicateValues", columns=("id", "state")),
        )
    assert [measured(result) for result in found] == expected
