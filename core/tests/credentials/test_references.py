"""References `${env:NAME}`: found, resolved for a service, written for Kubernetes; and values that are none."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.credentials import names_in, reference, resolve, resolve_all, to_kubernetes
from floe_core.errors import ConfigurationError
from floe_core.redaction import redact_text
from floe_core.testing.hardcoded import hardcoded_credentials

pytestmark = pytest.mark.requirement("HOUSE-7", "CC-2.3")


def test_names_are_found_anywhere_once_and_sorted() -> None:
    value = {"a": ["Bearer ${env:B}", {"x": "${env:A}:${env:B}"}], "n": 3, "none": None}
    assert names_in(value) == ("A", "B")


def test_a_reference_is_resolved_from_the_environment_and_masked_from_then_on() -> None:
    assert resolve("Bearer ${env:TOKEN_17}", {"TOKEN_17": "value-of-token-17"}) == "Bearer value-of-token-17"
    assert redact_text("it was value-of-token-17") == "it was ***"


@pytest.mark.parametrize("environment", [{}, {"TOKEN": ""}])
def test_a_missing_credential_is_told_by_name(environment: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="credential TOKEN is not set") as caught:
        resolve("${env:TOKEN}", environment)
    assert caught.value.details == {"variable": "TOKEN"}


def test_a_whole_document_is_resolved_and_keeps_its_shape() -> None:
    document = {"auth": {"apiKey": "${env:KEY_42}"}, "list": ["${env:KEY_42}", 5, None]}
    assert resolve_all(document, {"KEY_42": "abcdef42"}) == {
        "auth": {"apiKey": "abcdef42"},
        "list": ["abcdef42", 5, None],
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Bearer ${env:TOKEN}", "Bearer $(TOKEN)"),
        ("$(HOME)/${env:A}", "$$(HOME)/$(A)"),
        ("plain", "plain"),
        ("5$ and $$", "5$$ and $$$$"),
        ("$${env:A}", "$$$(A)"),
    ],
)
def test_kubernetes_form_escapes_what_was_literal(text: str, expected: str) -> None:
    assert to_kubernetes(text) == expected


def expanded_by_a_kubelet(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` of known names, `$$` as `$`; everything else stays (third_party/forked/golang/expansion)."""
    return re.sub(r"\$(\$|\(([^)]*)\))", lambda match: "$" if match[1] == "$" else known.get(match[2], match[0]), text)


@given(st.lists(st.sampled_from(["$", "$$", "$(A)", "$$(A)", "${env:A}", "(A)", "{", "é"])).map("".join))
def test_a_kubelet_makes_the_same_text_of_the_kubernetes_form_as_we_make_of_the_reference(text: str) -> None:
    value = "§§§ what a Secret holds"
    assert expanded_by_a_kubelet(to_kubernetes(text), {"A": value}) == resolve(text, {"A": value})


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True), st.text(min_size=1))
def test_a_reference_round_trips(name: str, text: str) -> None:
    value = f"§§§ {text}"  # what is resolved is masked in this process from then on: nothing that other tests say
    assert names_in(reference(name)) == (name,)
    assert resolve(reference(name), {name: value}) == value


@pytest.mark.parametrize(
    "value",
    [
        {"headers": {"dd-api-key": "${env:DD_API_KEY}"}},
        {"Authorization": "Basic ${env:BASIC}"},
        {"auth": {"type": "api_key", "apiKey": "${env:KEY}"}},
        {"valueFrom": {"secretKeyRef": {"name": "atlan-credentials", "key": "api_key"}}},
        {"name": "OPENLINEAGE_API_KEY", "value": "$(ATLAN_TOKEN)"},
        {"tokenEndpoint": "https://auth.example/token"},
        {"image": "otel/collector@sha256:" + "a1" * 32},
        {"run": "0195f2c4-3b7a-7c1e-9d2f-0123456789ab"},
        {"password": "{{ env_var('PASSWORD') }}"},
        {"token_file": "/var/run/secrets/token"},
        {"endpoint": "https://otlp-gateway-prod-eu-west-0.grafana.net/otlp"},
    ],
)
def test_references_and_names_are_no_credentials(value: object) -> None:
    assert hardcoded_credentials(value) == []


@pytest.mark.parametrize(
    "value",
    [
        {"headers": {"dd-api-key": "0123"}},
        {"headers": {"x": "Bearer abcdefgh12345"}},
        {"Authorization": "Basic dXNlcjpwYXNz"},
        {"url": "https://user:password@host"},
        {"x": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc"},
        {"x": "0123456789abcdef" * 2},
        {"x": "glc_eyJvIjoiMTIzNDU2Nzg5MCJ9"},
        {"env": [{"name": "API_TOKEN", "value": "literal"}]},
        ["-----BEGIN RSA PRIVATE KEY-----\nabc"],
        {"password": "${env:USER}-suffix"},
    ],
)
def test_a_value_where_a_reference_belongs_is_found_and_not_repeated(value: object) -> None:
    found = hardcoded_credentials(value)
    assert found
    assert all("not a reference" in sentence for sentence in found)
