"""A table against its promise."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.plugin_interfaces.catalog import Column as CatalogColumn
from floe_core.plugin_interfaces.catalog import Table
from floe_monitor.checks.field_ids import TableIds
from floe_monitor.checks.schema_comparison import Comparison, DifferenceKind, compare
from floe_monitor.contracts.model import Column, ContractTable, TableLocation

pytestmark = pytest.mark.requirement("FR-011", "FR-012")
Found = list[tuple[str, str, bool]]


def promise(
    name: str = "a",
    physical: str | None = None,
    logical: str | None = None,
    *,
    with_zone: bool | None = None,
    required: bool | None = None,
    children: tuple[Column, ...] = (),
) -> Column:
    return Column(name, name, logical, None, physical, with_zone, required, children)


def there(name: str = "a", kind: str = "int", **more: object) -> CatalogColumn:
    return CatalogColumn(name=name, type=kind, **{"required": None, **more})


def orders(*columns: Column, **more: tuple[str, ...]) -> ContractTable:
    return ContractTable("t", TableLocation("t"), columns, **more)


def table(*columns: CatalogColumn, **more: object) -> Table:
    return Table(identifier="t", columns=columns, **more)


def differences(found: Comparison) -> Found:
    return [(each.path, each.kind.value, each.breaks_consumers) for each in found.differences]


def typed(promised: Column, actual: str, dialect: str = "duckdb") -> Found:
    return differences(compare(orders(promised), table(there(kind=actual)), TableIds(), dialect))


BREAKS: Found = [("t.a", "type_changed", True)]
FITS: Found = [("t.a", "type_changed", False)]


@pytest.mark.parametrize(
    ("pinned", "actual", "expected"),
    [
        pytest.param("int", "long", FITS, id="int to long: legal, but pinned"),
        pytest.param("float", "double", FITS, id="float to double"),
        pytest.param("decimal(10,2)", "decimal(12, 2)", FITS, id="a wider decimal"),
        pytest.param("decimal(10,2)", "decimal(12, 4)", BREAKS, id="another scale, which pyiceberg lets pass"),
        pytest.param("decimal(10,2)", "decimal(8, 2)", BREAKS, id="a narrower decimal"),
        pytest.param("long", "int", BREAKS, id="a narrower integer"),
        pytest.param("int", "string", BREAKS, id="int to string"),
        pytest.param("date", "timestamp", BREAKS, id="date to timestamp: legal in v3, breaks who expects a date"),
        pytest.param("timestamp", "timestamptz", BREAKS, id="a zone that was not there"),
        pytest.param("timestamptz", "timestamp", BREAKS, id="a zone that is gone"),
        pytest.param("int", "struct<1: x: optional int>", BREAKS, id="a primitive to a struct"),
        pytest.param("unknown", "int", [], id="unknown pins nothing"),
    ],
)
def test_icebergs_schema_evolution_has_our_own_verdict(pinned: str, actual: str, expected: Found) -> None:
    column = there(kind=actual, field_id=1)
    assert differences(compare(orders(promise(physical=pinned)), table(column), TableIds(), "iceberg")) == expected


@pytest.mark.parametrize(
    ("logical", "fitting", "other"),
    [
        ("string", ["VARCHAR", "UUID", "ENUM('x')", "JSON"], ["INTEGER", "BLOB"]),
        ("integer", ["INTEGER", "BIGINT", "UTINYINT", "HUGEINT"], ["DOUBLE", "DECIMAL(10,0)", "VARCHAR"]),
        ("number", ["INTEGER", "DOUBLE", "FLOAT", "DECIMAL(10,2)"], ["VARCHAR", "BOOLEAN"]),
        ("boolean", ["BOOLEAN"], ["INTEGER"]),
        ("date", ["DATE"], ["TIMESTAMP"]),
        ("timestamp", ["TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMP_NS"], ["DATE", "TIME"]),
        ("time", ["TIME", "TIMETZ"], ["TIMESTAMP"]),
        ("object", ["STRUCT(x INTEGER)", "JSON"], ["INTEGER[]"]),
        ("array", ["INTEGER[]", "INTEGER[3]"], ["MAP(INTEGER, INTEGER)"]),
        ("map", ["MAP(VARCHAR, INTEGER)"], ["STRUCT(x INTEGER)"]),
        ("vector", ["FLOAT[3]"], ["FLOAT"]),
    ],
)
def test_a_logical_type_accepts_its_kinds_and_no_others(logical: str, fitting: list[str], other: list[str]) -> None:
    assert [actual for actual in fitting if typed(promise(logical=logical), actual)] == []
    assert [typed(promise(logical=logical), actual) for actual in other] == [BREAKS] * len(other)


@pytest.mark.parametrize(
    ("with_zone", "kept"),
    [
        pytest.param(True, ["TIMESTAMPTZ"], id="promised"),
        pytest.param(False, ["TIMESTAMP"], id="forbidden"),
        pytest.param(None, ["TIMESTAMP", "TIMESTAMPTZ"], id="not said"),
    ],
)
def test_the_zone_of_timestamps_counts_only_if_it_is_promised(with_zone: bool | None, kept: list[str]) -> None:
    column = promise(logical="timestamp", with_zone=with_zone)
    assert [actual for actual in ("TIMESTAMP", "TIMESTAMPTZ") if not typed(column, actual)] == kept


@pytest.mark.parametrize(
    ("pinned", "actual", "dialect"),
    [
        pytest.param("TIMESTAMP_NTZ(9)", "TIMESTAMP_NTZ(9)", "snowflake", id="precision on both sides"),
        pytest.param("datetime2(7)", "datetime2(7)", "tsql", id="SQL Server's precision"),
        pytest.param("geography(Point, 4326)", "geography(Point,4326)", "postgres", id="a type that nobody reads"),
        pytest.param("varchar(20)", "VARCHAR", "duckdb", id="a length that DuckDB does not keep"),
        pytest.param("timestamp(6)", "TIMESTAMP", "duckdb", id="a precision that DuckDB does not print"),
        pytest.param("number", "NUMBER(38,0)", "snowflake", id="Snowflake's default"),
        pytest.param("integer", "NUMBER(38,0)", "snowflake", id="Snowflake has one number type"),
        pytest.param("timestamp", "timestamptz", "spark", id="Spark's timestamp has a zone in Iceberg"),
    ],
)
def test_a_type_never_fails_against_its_own_declaration(pinned: str, actual: str, dialect: str) -> None:
    assert typed(promise(physical=pinned), actual, dialect) == []


@pytest.mark.parametrize(
    ("pinned", "actual"),
    [
        ("decimal", "DECIMAL(6,2)"),
        ("numeric(6, 2)", "DECIMAL(6,2)"),
        ("timestamptz", "TIMESTAMP WITH TIME ZONE"),
        ("int[]", "INTEGER[]"),
        ("struct<x: int, y: list<string>>", "STRUCT(x INTEGER, y VARCHAR[])"),
    ],
)
def test_equal_types_spelled_differently_are_equal(pinned: str, actual: str) -> None:
    assert typed(promise(physical=pinned), actual) == []


@pytest.mark.parametrize(
    ("pinned", "actual", "expected"),
    [
        pytest.param("decimal", "DECIMAL(6,2)", [], id="no precision promised"),
        pytest.param("decimal(6,2)", "DECIMAL(6,2)", [], id="the promised one"),
        pytest.param("decimal(6,2)", "DECIMAL(7,2)", FITS, id="a digit more"),
        pytest.param("decimal(6)", "DECIMAL(6,2)", [], id="no scale promised"),
        pytest.param("timestamp(3)", "TIMESTAMP", BREAKS, id="DuckDB keeps six digits"),
        pytest.param("timestamp", "TIMESTAMP_NS", [], id="no digits promised"),
    ],
)
def test_precision_is_compared_strictly_and_only_if_it_is_promised(pinned: str, actual: str, expected: Found) -> None:
    assert typed(promise(physical=pinned), actual) == expected


def test_a_length_counts_where_the_engine_prints_one() -> None:
    column = promise(physical="varchar(20)")
    assert typed(column, "character varying(20)", "postgres") == []
    assert typed(column, "character varying(30)", "postgres") == FITS
    assert typed(column, "text", "postgres") == FITS
    assert typed(column, "character varying(10)", "postgres") == BREAKS


def test_the_physical_type_decides_over_the_logical_one() -> None:
    assert typed(promise(physical="blob", logical="string"), "BLOB") == []
    assert typed(promise(physical="uuid", logical="string"), "VARCHAR") == BREAKS


def test_a_physical_type_that_nobody_understands_leaves_it_to_the_logical_one() -> None:
    column = promise(physical="our own words", logical="integer")
    assert typed(column, "INTEGER") == []
    assert typed(column, "VARCHAR") == BREAKS


def test_what_cannot_be_compared_is_told_and_is_no_drift() -> None:
    found = compare(orders(promise(logical="string")), table(there(kind="INTERVAL")), TableIds(), "duckdb")
    assert (found.differences, found.not_compared) == ((), ("t.a",))


@pytest.mark.parametrize(
    ("promised", "actual", "expected"),
    [
        pytest.param(None, False, [], id="nothing promised"),
        pytest.param(None, True, [], id="nothing promised, required"),
        pytest.param(True, True, [], id="kept"),
        pytest.param(True, False, [("t.a", "nullability_changed", True)], id="required became optional"),
        pytest.param(False, True, [("t.a", "nullability_changed", False)], id="optional became required"),
        pytest.param(True, None, [], id="the catalog cannot tell"),
    ],
)
def test_nullability_counts_only_if_it_is_promised(promised: bool | None, actual: bool | None, expected: Found) -> None:
    found = compare(orders(promise(required=promised)), table(there(required=actual)), TableIds(), "duckdb")
    assert differences(found) == expected


def test_a_column_more_or_less_is_added_or_removed() -> None:
    found = compare(orders(promise("a"), promise("b")), table(there("b"), there("c")), TableIds(), "duckdb")
    assert differences(found) == [("t.a", "removed", True), ("t.c", "added", False)]


def test_a_required_column_that_was_added_is_said_to_be_required() -> None:
    found = compare(orders(promise("a")), table(there("a"), there("b", required=True)), TableIds(), "duckdb")
    assert [(each.expected, each.actual) for each in found.differences] == [(None, "int, required")]


def test_a_table_that_is_gone_is_one_difference() -> None:
    assert differences(compare(orders(promise()), None, TableIds(), "duckdb")) == [("t", "removed", True)]


SEEN = TableIds("u1", {"a": 1, "b": 2})


def by_id(*columns: CatalogColumn, known: TableIds = SEEN, uuid: str = "u1") -> Found:
    promised = orders(promise("a"), promise("b"))
    return differences(compare(promised, table(*columns, uuid=uuid), known, "spark"))


def test_ids_are_learned_from_the_first_look_and_stay() -> None:
    promised = orders(promise("a"), promise("b"))
    first = compare(promised, table(there("a", field_id=1), there("b", field_id=2), uuid="u1"), TableIds(), "spark")
    assert first.ids == SEEN
    later = compare(promised, table(there("z", field_id=1), uuid="u1"), first.ids, "spark")
    assert later.ids == SEEN


def test_a_rename_is_a_rename() -> None:
    assert by_id(there("z", field_id=1), there("b", field_id=2)) == [("t.a", "renamed", True)]


def test_without_ids_a_rename_is_one_removed_and_one_added() -> None:
    found = compare(orders(promise("a")), table(there("z")), TableIds(), "duckdb")
    assert differences(found) == [("t.a", "removed", True), ("t.z", "added", False)]


def test_a_name_that_was_dropped_and_added_again_is_said() -> None:
    assert by_id(there("a", field_id=7), there("b", field_id=2)) == [("t.a", "readded", True)]


def test_two_columns_that_swapped_their_names_are_both_renamed() -> None:
    assert by_id(there("b", field_id=1), there("a", field_id=2)) == [("t.a", "renamed", True), ("t.b", "renamed", True)]


def test_a_new_column_under_a_renamed_ones_old_name_is_added() -> None:
    found = by_id(there("z", field_id=1), there("a", field_id=7), there("b", field_id=2))
    assert found == [("t.a", "added", False), ("t.a", "renamed", True)]


def test_a_recreated_table_begins_anew() -> None:
    assert by_id(there("a", field_id=2), there("b", field_id=1), uuid="u2") == []


def test_ids_of_what_is_promised_no_longer_are_forgotten() -> None:
    found = compare(orders(promise("a")), table(there("a", field_id=1), uuid="u1"), SEEN, "spark")
    assert found.ids == TableIds("u1", {"a": 1})


def test_a_field_that_moved_out_of_its_struct_is_removed_there_and_added_here() -> None:
    promised = orders(promise("s", logical="object", children=(promise("x", logical="integer"), promise("y"))))
    known = TableIds(None, {"s": 1, "s.x": 2, "s.y": 3})
    struct = there("s", "struct<3: y: int>", field_id=1, children=(there("y", field_id=3),))
    found = compare(promised, table(struct, there("x", field_id=2)), known, "spark")
    assert differences(found) == [("t.s.x", "removed", True), ("t.x", "added", False)]


NESTED = orders(
    promise(
        "address",
        logical="object",
        children=(promise("city", logical="string"), promise("zip", logical="string")),
    ),
    promise("tags", logical="array", children=(promise("element", logical="string"),)),
    promise("prices", logical="map", children=(promise("key", logical="string"), promise("value", "decimal(8,2)"))),
)


@pytest.mark.parametrize(
    ("address", "tags", "prices", "expected"),
    [
        pytest.param("city VARCHAR, zip VARCHAR", "VARCHAR", "DECIMAL(8,2)", [], id="as promised"),
        pytest.param("zip VARCHAR, city VARCHAR", "VARCHAR", "DECIMAL(8,2)", [], id="in another order"),
        pytest.param(
            "city INTEGER, x DATE", "DATE", "DOUBLE",
            [
                ("t.address.city", "type_changed"), ("t.address.x", "added"), ("t.address.zip", "removed"),
                ("t.prices.value", "type_changed"), ("t.tags.element", "type_changed"),
            ],
            id="every part",
        ),
    ],
)  # fmt: skip
def test_nested_columns_are_compared_by_path(
    address: str, tags: str, prices: str, expected: list[tuple[str, str]]
) -> None:
    actual = table(
        there("address", f"STRUCT({address})"),
        there("tags", f"{tags}[]"),
        there("prices", f"MAP(VARCHAR, {prices})"),
    )
    found = compare(NESTED, actual, TableIds(), "duckdb")
    assert [(each.path, each.kind.value) for each in found.differences] == expected


def test_a_nested_physical_type_alone_is_compared_by_its_parts() -> None:
    found = typed(promise(physical="struct<x: int, y: array<date>>"), "STRUCT(x BIGINT, y TIMESTAMP[], z DATE)")
    assert found == [
        ("t.a.x", "type_changed", False),
        ("t.a.y.element", "type_changed", True),
        ("t.a.z", "added", False),
    ]


@pytest.mark.parametrize(
    ("dialect", "found"),
    [
        pytest.param("duckdb", ["orderid", "ORDERID", "OrderId"], id="ignores case"),
        pytest.param("postgres", ["orderid", "OrderId"], id="folds to lower case"),
        pytest.param("snowflake", ["ORDERID", "OrderId"], id="folds to upper case"),
        pytest.param("", ["OrderId"], id="exact where the engine is not known"),
    ],
)
def test_the_case_of_names_is_each_engines(dialect: str, found: list[str]) -> None:
    promised = orders(promise("OrderId"))
    names = ["orderid", "ORDERID", "OrderId"]
    assert [
        name for name in names if not compare(promised, table(there(name)), TableIds(), dialect).differences
    ] == found


def test_of_two_names_that_differ_in_case_only_the_exact_one_is_meant() -> None:
    promised = orders(promise("a", "int"), promise("A", "date"))
    assert differences(compare(promised, table(there("A", "date"), there("a", "int")), TableIds(), "duckdb")) == []


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        pytest.param({"primary_key": ("b", "a")}, [], id="keys have no order"),
        pytest.param({"primary_key": ("a",)}, ["primary key a, b -> primary key a"], id="another key"),
        pytest.param({"primary_key": ()}, ["primary key a, b -> no primary key"], id="no key"),
        pytest.param({"primary_key": None}, [], id="the catalog cannot tell"),
    ],
)
def test_a_promised_key_is_compared_if_the_catalog_tells(actual: dict[str, object], expected: list[str]) -> None:
    promised = orders(promise("a"), promise("b"), primary_key=("a", "b"))
    found = compare(promised, table(there("a"), there("b"), **actual), TableIds(), "duckdb").differences
    assert [f"{each.expected} -> {each.actual}" for each in found] == expected


def test_partitioning_and_sort_order_are_compared_by_their_columns() -> None:
    promised = orders(promise("a"), promise("b"), partitioned_by=("a",), sorted_by=("b", "a"))
    kept = table(
        there("a"),
        there("b"),
        partitioned_by=("day(a)",),
        sorted_by=("bucket[16](b) DESC NULLS LAST", "a ASC NULLS FIRST"),
    )
    assert compare(promised, kept, TableIds(), "spark").differences == ()
    other = table(there("a"), there("b"), sorted_by=("a", "b"))
    found = compare(promised, other, TableIds(), "spark").differences
    assert [(each.expected, each.actual) for each in found] == [
        ("partitioned by a", "not partitioned by"), ("sorted by b, a", "sorted by a, b")
    ]  # fmt: skip


def test_what_is_not_promised_is_not_compared() -> None:
    actual = table(there("a"), partitioned_by=("a",), sorted_by=("a",), primary_key=("a",))
    assert compare(orders(promise("a")), actual, TableIds(), "spark").differences == ()


_TYPES = st.sampled_from(
    ["INTEGER", "VARCHAR", "DATE", "DECIMAL(10,2)", "TIMESTAMP WITH TIME ZONE", "STRUCT(x INTEGER, y VARCHAR[])", "ODD"]
)
_NAMES = st.lists(st.sampled_from("abcdefgh"), min_size=1, unique=True)


@st.composite
def tables(draw: st.DrawFn) -> tuple[ContractTable, Table]:
    """A promise and a table that keeps it."""
    drawn = [(name, draw(_TYPES), draw(st.booleans())) for name in draw(_NAMES)]
    promised = orders(*(promise(name, kind, required=required) for name, kind, required in drawn))
    columns = [there(name, kind, required=required, field_id=at) for at, (name, kind, required) in enumerate(drawn)]
    return promised, table(*columns, uuid="u")


@given(tables())
def test_a_schema_never_drifts_from_itself(drawn: tuple[ContractTable, Table]) -> None:
    promised, actual = drawn
    first = compare(promised, actual, TableIds(), "duckdb")
    assert first.differences == ()
    assert compare(promised, actual, first.ids, "duckdb") == first


@given(tables(), st.data())
def test_every_planted_change_is_found_and_nothing_else(
    drawn: tuple[ContractTable, Table], data: st.DataObject
) -> None:
    promised, actual = drawn
    ids = compare(promised, actual, TableIds(), "duckdb").ids
    columns = list(actual.columns)
    at = data.draw(st.integers(0, len(columns) - 1))
    column = columns[at]
    planted = data.draw(st.sampled_from([*DifferenceKind]))
    changes = {
        DifferenceKind.REMOVED: [],
        DifferenceKind.RENAMED: [column.model_copy(update={"name": "new"})],
        DifferenceKind.READDED: [column.model_copy(update={"field_id": 99})],
        DifferenceKind.TYPE_CHANGED: [column.model_copy(update={"type": "BOOLEAN", "children": ()})],
        DifferenceKind.NULLABILITY_CHANGED: [column.model_copy(update={"required": not column.required})],
        DifferenceKind.CONSTRAINT_CHANGED: [column],
        DifferenceKind.ADDED: [column, there("new", field_id=99)],
    }
    columns[at : at + 1] = changes[planted]
    changed = actual.model_copy(update={"columns": tuple(columns), "primary_key": ()})
    if planted is DifferenceKind.CONSTRAINT_CHANGED:
        promised = replace(promised, primary_key=(column.name,))
    path = {DifferenceKind.ADDED: "t.new", DifferenceKind.CONSTRAINT_CHANGED: "t"}.get(planted, f"t.{column.name}")
    found = compare(promised, changed, ids, "duckdb").differences
    # A type that nobody understands pins nothing.
    is_silent = planted is DifferenceKind.TYPE_CHANGED and column.type == "ODD"
    assert [(each.path, each.kind) for each in found] == ([] if is_silent else [(path, planted)])


@given(tables(), tables(), st.randoms(use_true_random=False))
def test_order_never_matters(
    one: tuple[ContractTable, Table], other: tuple[ContractTable, Table], chance: random.Random
) -> None:
    promised, actual = one[0], other[1]
    expected = compare(promised, actual, TableIds(), "duckdb")
    columns, ours = list(actual.columns), list(promised.columns)
    chance.shuffle(columns)
    chance.shuffle(ours)
    shuffled = actual.model_copy(update={"columns": tuple(columns)})
    assert compare(replace(promised, columns=tuple(ours)), shuffled, TableIds(), "duckdb") == expected
