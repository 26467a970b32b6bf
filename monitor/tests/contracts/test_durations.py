"""Durations and percentages as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_monitor.contracts.durations import parse_duration, parse_ratio

pytestmark = pytest.mark.requirement("FR-007", "FR-021")


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        pytest.param("PT6H", None, timedelta(hours=6), id="ISO 8601 hours"),
        pytest.param("P1DT12H", None, timedelta(hours=36), id="ISO 8601 days and hours"),
        pytest.param("pt90m", None, timedelta(minutes=90), id="ISO 8601 in lower case"),
        pytest.param("P2W", None, timedelta(days=14), id="ISO 8601 weeks"),
        pytest.param("PT6H", "h", timedelta(hours=6), id="an ISO duration needs no unit and ignores one"),
        pytest.param(6, "h", timedelta(hours=6), id="value and unit"),
        pytest.param(1.5, "d", timedelta(hours=36), id="a fraction"),
        pytest.param("6", "hours", timedelta(hours=6), id="a number as text"),
        pytest.param("30min", None, timedelta(minutes=30), id="number and unit in one"),
        pytest.param(30, "m", timedelta(minutes=30), id="m is a minute"),
        pytest.param(2, "Days", timedelta(days=2), id="units in any case"),
    ],
)
def test_a_duration_is_read_in_each_form(value: object, unit: str | None, expected: timedelta) -> None:
    assert parse_duration(value, unit) == expected


@pytest.mark.parametrize(
    ("value", "unit", "says"),
    [
        pytest.param(6, None, "needs a unit", id="a number alone"),
        pytest.param(6, "parsec", "'parsec' is not known", id="an unknown unit"),
        pytest.param("P1M", None, "calendar", id="a month has no fixed length"),
        pytest.param("PX", None, "no ISO 8601 duration", id="malformed ISO"),
        pytest.param("soon", "h", "no duration", id="a word"),
        pytest.param(0, "h", "not positive", id="zero"),
        pytest.param("PT0S", None, "not positive", id="an ISO zero"),
        pytest.param(None, "h", "no duration", id="nothing"),
        pytest.param(True, "h", "no duration", id="a boolean"),
        pytest.param(float("nan"), "h", "no duration", id="not a number"),
        pytest.param(1e30, "y", "too long", id="longer than time"),
    ],
)
def test_what_is_no_duration_is_refused_with_the_reason(value: object, unit: str | None, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_duration(value, unit)


@given(seconds=st.integers(1, 10**9))
def test_both_forms_of_one_duration_are_equal(seconds: int) -> None:
    assert parse_duration(f"PT{seconds}S") == parse_duration(seconds, "s") == timedelta(seconds=seconds)


@given(value=st.one_of(st.text(), st.integers(), st.floats(), st.none()), unit=st.one_of(st.none(), st.text()))
def test_any_input_gives_a_positive_duration_or_a_value_error(value: object, unit: str | None) -> None:
    try:
        duration = parse_duration(value, unit)
    except ValueError:
        return
    assert duration > timedelta()


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        pytest.param(99.9, None, 0.999, id="a percentage"),
        pytest.param("99.9%", None, 0.999, id="with a percent sign"),
        pytest.param("99.5", "percent", 0.995, id="with a unit"),
        pytest.param(0.999, None, 0.999, id="a share"),
        pytest.param(0.5, "%", 0.005, id="half a percent if it says so"),
        pytest.param(100, None, 1.0, id="always"),
    ],
)
def test_an_availability_is_read_in_each_form(value: object, unit: str | None, expected: float) -> None:
    assert parse_ratio(value, unit) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0, -1, 101, "often", None, True, float("nan")])
def test_what_is_no_availability_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="no availability"):
        parse_ratio(value)
