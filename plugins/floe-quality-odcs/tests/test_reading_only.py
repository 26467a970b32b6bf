"""What SQL rules may call: reading is known, everything else is refused before it is sent."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from floe_core.plugin_interfaces.quality import QualityCheck, QualityCheckResult, QualitySuite
from floe_quality_odcs import OdcsQualityPlugin, read_only
from floe_quality_odcs.plugin import OdcsQualityConfig
from floe_quality_odcs.read_only import why_not

pytestmark = pytest.mark.requirement("FR-015", "FR-025")


def refusal(query: str, dialect: str = "postgres", *allowed: str) -> str | None:
    parsed = sqlglot.parse_one(query, dialect=dialect)
    assert isinstance(parsed, exp.Query)
    return why_not(parsed, allowed)


@pytest.mark.parametrize(
    ("dialect", "query"),
    [
        ("postgres", "SELECT setval('orders_id_seq', 1)"),
        ("postgres", "SELECT pg_catalog.setval('orders_id_seq', 1)"),
        ("postgres", "SELECT nextval('orders_id_seq')"),
        ("postgres", "SELECT count(*) FROM orders WHERE pg_sleep(60) IS NULL"),
        ("postgres", "SELECT lo_import('/etc/passwd')"),
        ("postgres", "SELECT count(*) FROM dblink('host=other', 'SELECT 1') AS t(n int)"),
        ("postgres", "SELECT count(pg_read_file('/etc/passwd'))"),
        ("postgres", "SELECT set_config('x.y', '1', false)"),
        ("postgres", "SELECT pg_terminate_backend(1)"),
        ("postgres", "SELECT query_to_xml('DELETE FROM orders', true, true, '')"),
        ("postgres", "SELECT private.isfinite(1)"),
        ("postgres", "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM gone"),
        ("postgres", "SELECT (SELECT max(n) FROM (SELECT pg_advisory_lock(1) AS n) AS inner_query)"),
        ("duckdb", "SELECT count(*) FROM read_csv('https://elsewhere/x.csv')"),
        ("duckdb", "SELECT count(*) FROM read_parquet('s3://elsewhere/x')"),
        ("duckdb", "SELECT count(*) FROM read_text('/etc/passwd')"),
        ("duckdb", "SELECT count(*) FROM 'https://elsewhere/x.csv'"),
        ("duckdb", 'SELECT count(*) FROM "/etc/passwd"'),
        ("duckdb", "SELECT count(*) FROM secrets.csv"),
        ("duckdb", "SELECT count(*) FROM 'secrets.csv.gz'"),
        ("duckdb", "SELECT 'secrets'.read_text()"),
        ("duckdb", "SELECT getenv('PASSWORD')"),
        ("duckdb", "SELECT count(*) FROM query('SELECT 1')"),
        ("mysql", "SELECT sleep(60)"),
        ("mysql", "SELECT load_file('/etc/passwd')"),
        ("snowflake", "SELECT orders_seq.NEXTVAL FROM orders"),
        ("snowflake", "SELECT count(*) FROM @stage/file"),
        ("snowflake", "SELECT SYSTEM$ABORT_SESSION(1)"),
        ("oracle", "SELECT seq.nextval FROM dual"),
        ("tsql", "SELECT NEXT VALUE FOR orders_seq"),
        ("bigquery", "SELECT count(*) FROM EXTERNAL_QUERY('c', 'SELECT 1')"),
        ("bigquery", "SELECT safe.my_function(1)"),
        ("trino", "SELECT count(*) FROM TABLE(system.query(query => 'DROP TABLE x'))"),
        ("spark", "SELECT TRANSFORM(id) USING 'curl' AS (b) FROM orders"),
        ("spark", "SELECT java_method('java.lang.System', 'exit', 1)"),
        ("clickhouse", "SELECT count() FROM url('https://elsewhere')"),
    ],
)
def test_what_may_do_more_than_read_is_refused(dialect: str, query: str) -> None:
    assert refusal(query, dialect)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FILTER (WHERE email !~ '@') FROM orders",
        "SELECT max(extract(epoch FROM now() - updated_at)) FROM orders",
        "SELECT count(*) FROM orders o LEFT JOIN customers c ON c.id = o.customer_id WHERE c.id IS NULL",
        "SELECT sum(coalesce(amount, 0)) / nullif(count(*), 0) FROM orders WHERE date_trunc('day', at) = current_date",
        "WITH big AS (SELECT id FROM orders WHERE amount > 100) SELECT count(DISTINCT id) FROM big",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) FROM orders",
        "SELECT count(*) FROM (SELECT row_number() OVER (PARTITION BY id ORDER BY at) AS n FROM orders) t WHERE n > 1",
        "SELECT count(*) FROM generate_series(1, 10)",
        "SELECT count(*) FROM orders WHERE age(now(), at) > interval '1 day' AND isfinite(at)",
        "SELECT count(*) FROM orders WHERE length(btrim(lower(state))) = 0 OR jsonb_array_length(lines) = 0",
        'SELECT count(*) FROM sales.public."or ders"',
    ],
)
def test_queries_as_people_write_them_only_read(query: str) -> None:
    assert refusal(query) is None


def test_a_refusal_names_the_function_and_the_setting(orders_rule: Any) -> None:
    result = orders_rule(OdcsQualityPlugin())
    assert "The function is_valid_iban is not known to only read." in str(result.error_message)
    assert "`allowed_functions`" in str(result.error_message)


def test_the_platform_may_allow_a_function_of_its_own(orders_rule: Any) -> None:
    plugin = OdcsQualityPlugin(OdcsQualityConfig(allowed_functions=frozenset({"IS_VALID_IBAN"})))
    assert orders_rule(plugin).passed


@pytest.fixture
def orders_rule() -> Any:
    def run(plugin: OdcsQualityPlugin) -> QualityCheckResult:
        query = "SELECT count(*) FROM {object} WHERE NOT is_valid_iban(iban)"
        check = QualityCheck(
            name="iban",
            type="sql",
            parameters={"metric": "sql", "operator": "mustBe", "bound": (0,), "query": query},
        )
        connection = {"query": lambda _sql: [(3, 0)], "dialect": "postgres", "table": ["orders"]}
        return plugin.run_suite(QualitySuite(model_name="orders", checks=(check,)), connection).checks[0]

    return run


def test_functions_that_are_known_to_do_more_are_not_on_the_list() -> None:
    dangerous = ("ReadCSV", "ReadParquet", "NextValueFor", "ToFile", "Predict", "Secret", "DynamicIdentifier")
    for name in dangerous:
        function = getattr(exp, name)(this=exp.Literal.string("x"))
        assert why_not(exp.select(function)) is not None


def test_the_list_holds_sqlglots_types_of_functions_and_names_alone() -> None:
    types = {kind.__name__ for kind in _kinds_of(exp.Func)}
    assert types >= read_only._TYPED
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in read_only._NAMED)


def _kinds_of(kind: type) -> Iterator[type]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from _kinds_of(narrower)
