"""Annotations under floe.dev/: declared once, read purely, refused without harm."""

import string
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.manifest.models import OverridableBy, Overrides
from floe_webhook.annotations import ANNOTATIONS, Options
from floe_webhook.asked import DEFAULT_ALLOWANCE, Asked, allowance_of, read
from floe_webhook.reasons import Reason
from floe_webhook.reference import annotations_page

pytestmark = pytest.mark.requirement("HOUSE-2", "HOUSE-3")

INVALID, FORBIDDEN, UNKNOWN = Reason.ANNOTATION_INVALID, Reason.ANNOTATION_FORBIDDEN, Reason.ANNOTATION_UNKNOWN


def asked(*, namespace: str = "sales", overrides: dict[str, Any] | None = None, **annotations: Any) -> Asked:
    """What annotations `floe.dev/a-b`, given as a_b, come to."""
    allowance = allowance_of(Overrides.model_validate(overrides)) if overrides else DEFAULT_ALLOWANCE
    return read(
        {f"floe.dev/{name.replace('_', '-')}": text for name, text in annotations.items()}, allowance, namespace
    )


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        pytest.param("containers", "a, b,", frozenset({"a", "b"}), id="names with spaces and a comma too many"),
        pytest.param("exclude_containers", "proxy", frozenset({"proxy"}), id="one name"),
        pytest.param("init_containers", "false", False, id="a switch"),
        pytest.param("environment_only", "enabled", True, id="the label's word for a switch"),
        pytest.param("sidecar_cpu_request", "100m", "100m", id="CPU"),
        pytest.param("sidecar_memory_limit", "128Mi", "128Mi", id="memory"),
        pytest.param("sidecar_log_level", "DEBUG", "debug", id="a level in capitals"),
        pytest.param("product", "orders_v2", "orders_v2", id="a part of the namespace"),
        pytest.param("environment", "staging", "staging", id="the environment"),
    ],
)
def test_a_value_that_can_be_used_counts(name: str, text: str, value: Any) -> None:
    given: dict[str, Any] = {name: text}
    found = asked(**given)
    assert found.options == Options(**{name: value})
    assert found.used == ((f"floe.dev/{name.replace('_', '-')}", text),)
    assert found.refused == ()


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        pytest.param("containers", " , ", INVALID, id="no name at all"),
        pytest.param("containers", "a;b", INVALID, id="names that no container can have"),
        pytest.param("environment_only", "maybe", INVALID, id="a word that is no switch"),
        pytest.param("environment_only", True, INVALID, id="a value that is no text"),
        pytest.param("sidecar_cpu_limit", "a lot", INVALID, id="no quantity"),
        pytest.param("sidecar_cpu_limit", "-1", INVALID, id="less than nothing"),
        pytest.param("sidecar_memory_request", "1Ei", INVALID, id="a unit that no sidecar needs"),
        pytest.param("sidecar_memory_limit", "1Gi", FORBIDDEN, id="more than the platform gives"),
        pytest.param("sidecar_memory_limit", "8Mi", FORBIDDEN, id="less than a sidecar lives on"),
        pytest.param("sidecar_log_level", "trace", INVALID, id="no level"),
        pytest.param("product", "a\nb/$(HOME)", INVALID, id="a line break and a reference"),
        pytest.param("product", "x" * 129, INVALID, id="too long"),
        pytest.param("tenant", "acme", FORBIDDEN, id="the platform's own part"),
        pytest.param("organization", "acme", FORBIDDEN, id="the platform's other part"),
        pytest.param("lineage_namespace", "finance/load", FORBIDDEN, id="a namespace that nobody allowed"),
        pytest.param("lineage_namespace", "a b", INVALID, id="no namespace"),
        pytest.param("contaners", "app", UNKNOWN, id="a slip of the pen"),
    ],
)
def test_a_value_that_cannot_be_used_leaves_the_default_and_is_named(name: str, text: object, reason: Reason) -> None:
    given: dict[str, Any] = {name: text}
    found = asked(**given)
    assert found.options == Options()
    assert found.refused == ((f"floe.dev/{name.replace('_', '-')}", reason),)
    assert found.reasons == (reason,)


def test_what_can_be_used_counts_beside_what_cannot() -> None:
    found = asked(product="orders", domain="", sidecar_log_level="loud", tenant="acme")
    assert found.options == Options(product="orders")
    assert [name for name, _ in found.refused] == ["floe.dev/domain", "floe.dev/sidecar-log-level", "floe.dev/tenant"]
    assert found.reasons == (INVALID, FORBIDDEN)


def test_a_request_above_its_limit_drops_both() -> None:
    found = asked(sidecar_memory_request="128Mi", sidecar_memory_limit="64Mi", sidecar_cpu_limit="100m")
    assert found.options == Options(sidecar_cpu_limit="100m")
    assert found.refused == (
        ("floe.dev/sidecar-memory-limit", INVALID),
        ("floe.dev/sidecar-memory-request", INVALID),
    )


@pytest.mark.parametrize(
    ("patterns", "namespace", "allowed"),
    [
        pytest.param(["{namespace}/*"], "sales", True, id="a team's own"),
        pytest.param(["{namespace}/*"], "finance", False, id="another team's"),
        pytest.param(["{namespace}/*"], "", False, id="a file that does not say where it belongs"),
        pytest.param(["shared", "sales/*"], "", True, id="one of several patterns"),
        pytest.param([], "sales", False, id="no pattern"),
    ],
)
def test_the_platform_says_which_lineage_namespaces_pods_may_choose(
    patterns: list[str], namespace: str, *, allowed: bool
) -> None:
    found = asked(overrides={"lineage_namespaces": patterns}, namespace=namespace, lineage_namespace="sales/load")
    assert found.options.lineage_namespace == ("sales/load" if allowed else None)
    assert found.reasons == (() if allowed else (FORBIDDEN,))


def test_the_platform_may_allow_more_and_less() -> None:
    found = asked(overrides={"allowed": ["tenant"]}, tenant="acme", product="orders")
    assert found.options == Options(tenant="acme")
    assert found.refused == (("floe.dev/product", FORBIDDEN),)


def test_a_resource_attribute_is_any_text_but_none() -> None:
    found = read(
        {"resource.opentelemetry.io/team": "a,b", "resource.opentelemetry.io/none": ""}, DEFAULT_ALLOWANCE, "sales"
    )
    assert found.used == (("resource.opentelemetry.io/team", "a,b"),)
    assert found.refused == (("resource.opentelemetry.io/none", INVALID),)


_names = st.sampled_from([*ANNOTATIONS, "floe.dev/", "floe.dev/other", "resource.opentelemetry.io/", "note"])
_texts = st.one_of(
    st.text(max_size=300),
    st.sampled_from(["true", "a", "a,b", "100m", "64Mi", "x" * 5000]),
    st.text(string.printable, max_size=20),
    st.none(),
    st.integers(),
    st.lists(st.integers()),
)


@given(st.dictionaries(st.one_of(_names, st.text(), st.integers()), _texts))
def test_whatever_stands_there_is_read_and_everything_of_ours_is_accounted_for(annotations: dict[Any, Any]) -> None:
    found = read(annotations, DEFAULT_ALLOWANCE, "sales")
    named = [name for name, _ in (*found.used, *found.refused)]
    of_ours = [str(name) for name in annotations if str(name).startswith(("floe.dev/", "resource.opentelemetry.io/"))]
    assert sorted(named) == sorted(of_ours)
    assert all(name not in ANNOTATIONS or name.startswith("floe.dev/") for name, _ in found.used)


def test_the_manifest_can_allow_every_annotation_there_is_and_no_other() -> None:
    by_name = {annotation.short for _, annotation in ANNOTATIONS.values()}
    assert set(get_args(OverridableBy)) == by_name - {"lineage-namespace"}


@pytest.mark.parametrize("field", fields(Options), ids=lambda field: field.name)
def test_every_annotation_says_what_it_means_and_what_holds_without_it(field: Any) -> None:
    name = f"floe.dev/{field.name.replace('_', '-')}"
    assert ANNOTATIONS[name][0] == field.name
    assert ANNOTATIONS[name][1].meaning.endswith(".")
    assert ANNOTATIONS[name][1].default


def test_the_page_of_annotations_is_the_declarations() -> None:
    page = Path(__file__).parents[3] / "docs" / "annotations.md"
    assert page.read_text(encoding="utf-8") == annotations_page(), "run `make docs`"
