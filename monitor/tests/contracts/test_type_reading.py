"""Spellings of types, of any engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_monitor.contracts.column_types import ELEMENT, KEY, VALUE, ColumnType, Kind, Member
from floe_monitor.contracts.type_reading import read_type

pytestmark = pytest.mark.requirement("FR-012", "FR-014")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("decimal(6, 2)", "NUMERIC(6,2)"),
        ("timestamptz", "TIMESTAMP WITH TIME ZONE"),
        ("timestamp(6) without time zone", "timestamp_us"),
        ("character varying(20)", "varchar(20)"),
        ("text", "STRING"),
        ("double precision", "float64"),
        ("list<int>", "INTEGER[]"),
        ("array(bigint)", "int64 array"),
        ("struct<1: a: required int, 2: b: optional string>", 'STRUCT(a INTEGER, "b" VARCHAR)'),
        ("map<string, int>", "MAP(VARCHAR, INTEGER)"),
        ("int unsigned", "UINTEGER"),
        ("varchar2(20 char)", "varchar(20)"),
        ("nvarchar(max)", "text"),
    ],
)
def test_two_spellings_of_one_type_are_equal(one: str, other: str) -> None:
    assert read_type(one) == read_type(other)
    assert read_type(one).kind is not Kind.OTHER


@pytest.mark.parametrize(
    ("text", "dialect", "expected"),
    [
        pytest.param("timestamp", "duckdb", ColumnType(Kind.TIMESTAMP, zone=False), id="bare: none in DuckDB"),
        pytest.param("timestamp", "bigquery", ColumnType(Kind.TIMESTAMP, zone=True), id="bare: always in BigQuery"),
        pytest.param("timestamp", "spark", ColumnType(Kind.TIMESTAMP), id="bare: a setting in Spark"),
        pytest.param("float", "postgres", ColumnType(Kind.FLOAT, bits=64), id="a wide float"),
        pytest.param("float", "iceberg", ColumnType(Kind.FLOAT, bits=32), id="a narrow float"),
        pytest.param("int", "snowflake", ColumnType(Kind.DECIMAL, precision=38, scale=0), id="one number type"),
        pytest.param("int", "bigquery", ColumnType(Kind.INTEGER, bits=64), id="one integer type"),
        pytest.param("bit", "tsql", ColumnType(Kind.BOOLEAN), id="a bit is a truth value"),
        pytest.param("fixed[16]", "iceberg", ColumnType(Kind.BINARY, length=16), id="no array"),
    ],
)
def test_a_word_means_what_its_engine_means(text: str, dialect: str, expected: ColumnType) -> None:
    assert read_type(text, dialect) == expected


@pytest.mark.parametrize(
    "text", ["", "decimal(", "geography", "int int", "map<int>", "struct<a>", "int[", "a" * 9999, "(" * 99]
)
def test_what_is_not_understood_is_of_a_kind_of_its_own(text: str) -> None:
    assert read_type(text).kind is Kind.OTHER


def test_deep_nesting_ends() -> None:
    assert read_type("array<" * 500 + "int" + ">" * 500).kind is Kind.OTHER


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert isinstance(read_type(text), ColumnType)


_NUMBERS = st.integers(min_value=0, max_value=99)
_LEAVES = st.one_of(
    st.sampled_from([ColumnType(Kind.INTEGER, bits=bits) for bits in (8, 16, 32, 64, 128, -8, -16, -32, -64)]),
    st.sampled_from([ColumnType(Kind.FLOAT, bits=bits) for bits in (32, 64)]),
    st.builds(lambda p, s: ColumnType(Kind.DECIMAL, precision=p, scale=s), _NUMBERS, _NUMBERS),
    st.builds(lambda p, z: ColumnType(Kind.TIMESTAMP, precision=p, zone=z), _NUMBERS, st.booleans()),
    st.builds(lambda n: ColumnType(Kind.STRING, length=n), st.none() | _NUMBERS),
    st.sampled_from([ColumnType(kind) for kind in (Kind.BOOLEAN, Kind.DATE, Kind.UUID, Kind.JSON, Kind.BINARY)]),
)


def _nested(parts: st.SearchStrategy[ColumnType]) -> st.SearchStrategy[ColumnType]:
    members = st.lists(st.builds(Member, st.text("ab \"'`,()<>", min_size=1), parts), min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda part: ColumnType(Kind.ARRAY, members=(Member(ELEMENT, part),)), parts),
        st.builds(lambda k, v: ColumnType(Kind.MAP, members=(Member(KEY, k), Member(VALUE, v))), parts, parts),
        st.builds(lambda found: ColumnType(Kind.OBJECT, members=tuple(found)), members),
    )


COLUMN_TYPES = st.recursive(_LEAVES, _nested, max_leaves=5)


@given(COLUMN_TYPES)
def test_a_type_is_read_back_from_its_spelling(found: ColumnType) -> None:
    assert read_type(str(found), "duckdb") == found
