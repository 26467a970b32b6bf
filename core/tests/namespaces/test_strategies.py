"""Job namespaces: the four strategies, and templates of one's own within bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.errors import ConfigurationError
from floe_core.namespaces import NamespaceParts, NamespaceStrategy, fields_of, job_namespace

pytestmark = pytest.mark.requirement("REQ-058", "HOUSE-9")

PARTS = NamespaceParts(product="orders", domain="sales", environment="production", organization="acme")


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (NamespaceStrategy.SIMPLE, "single-tenant/orders"),
        (NamespaceStrategy.CENTRALIZED, "acme/sales/orders"),
        (NamespaceStrategy.MESH, "domain-sales/orders"),
        pytest.param(NamespaceStrategy.ENVIRONMENT, "floe.production.sales", marks=pytest.mark.requirement("REQ-539")),
    ],
)
def test_a_strategy_makes_its_namespace(strategy: NamespaceStrategy, expected: str) -> None:
    assert job_namespace(strategy.template, PARTS) == expected


def test_a_template_of_ones_own_is_filled() -> None:
    assert job_namespace("{organization}.{domain}", PARTS) == "acme.sales"


def test_a_part_that_is_not_known_is_told_by_name() -> None:
    with pytest.raises(ConfigurationError, match="needs organization, domain") as caught:
        job_namespace(NamespaceStrategy.CENTRALIZED.template, NamespaceParts(product="orders"))
    assert caught.value.details == {"missing": ["organization", "domain"]}


@pytest.mark.parametrize(
    "template",
    ["", "  ", "{", "{product", "{produkt}", "{product.__class__}", "{product!r}", "{product:>10}", "{}", "{0}"],
)
def test_a_template_that_is_malformed_or_reaches_further_is_refused(template: str) -> None:
    with pytest.raises(ConfigurationError):
        fields_of(template)


@given(st.text())
def test_any_template_is_filled_or_refused(template: str) -> None:
    try:
        namespace = job_namespace(template, PARTS)
    except ConfigurationError as error:
        namespace = error.what
    assert namespace
