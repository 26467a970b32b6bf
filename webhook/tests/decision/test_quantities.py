"""Kubernetes quantities as numbers, compared with the official client's reading of them."""

from decimal import localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.utils.quantity import parse_quantity

from floe_webhook.quantities import quantity

pytestmark = pytest.mark.requirement("FP-18")

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
NUMBERS = st.from_regex(r"[+-]?[0-9]{1,6}(\.[0-9]{1,6})?", fullmatch=True)


@given(NUMBERS, st.sampled_from(SUFFIXES))
def test_every_suffix_means_what_it_means_to_the_official_client(number: str, suffix: str) -> None:
    with localcontext(prec=60):  # the client computes with as many digits as the context has
        expected = Fraction(parse_quantity(number + suffix))  # type: ignore[no-untyped-call]  # it has no types
    assert quantity(number + suffix) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("1e3", 1000, id="an exponent"),
        pytest.param("1E-3", Fraction(1, 1000), id="a negative exponent"),
        pytest.param("1E", 10**18, id="exa, no exponent"),
        pytest.param(".5", Fraction(1, 2), id="no digit in front"),
        pytest.param("5.", 5, id="no digit behind"),
        pytest.param(2, 2, id="a number"),
        pytest.param("0.1", Fraction(1, 10), id="a tenth, exactly"),
    ],
)
def test_forms_that_people_write_are_read(text: object, value: Fraction) -> None:
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Mi", "1Mi ", "mi", ".", "1e", "1e999", "1_0", "٣", None, True, {}])
def test_what_is_no_quantity_is_none(text: object) -> None:
    assert quantity(text) is None


def test_a_text_of_unusual_length_is_none() -> None:
    assert quantity("1" * 65) is None
