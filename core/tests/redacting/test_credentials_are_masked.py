"""What is masked, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.redaction import redact_text, redact_value, remember_secret

pytestmark = pytest.mark.requirement("HOUSE-7", "CC-3.1")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        pytest.param("Authorization: Bearer abc.def-ghi123", "abc.def-ghi123", id="bearer token"),
        pytest.param("Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA", id="basic credentials"),
        pytest.param("postgresql://floe:hunter22@db:5432/x", "hunter22", id="password in an address"),
        pytest.param("password=hunter22 host=db", "hunter22", id="password in a connection string"),
        pytest.param('{"api_key": "0123456789"}', "0123456789", id="key in JSON"),
        pytest.param("https://hooks.slack.com/services/T000/B000/XXXX", "T000", id="address of an incoming webhook"),
        pytest.param("-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----", "MIIB", id="private key"),
    ],
)
def test_a_credential_is_masked(text: str, secret: str) -> None:
    assert secret not in redact_text(text)
    assert "***" in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("dd-api-key: ${env:DD_API_KEY}", id="a reference is not a credential"),
        pytest.param("https://marquez:5000/api/v1/lineage", id="an address with a port"),
        pytest.param("The table orders is three days old.", id="a sentence"),
        pytest.param("2026-11-21T10:00:00Z", id="a time"),
    ],
)
def test_what_is_no_credential_stays(text: str) -> None:
    assert redact_text(text) == text


def test_a_telling_key_masks_its_value_at_any_depth() -> None:
    document = {"a": [{"api_key": "v4lue", "name": "x"}], "Authorization": "v4lue"}

    assert redact_value(document) == {"a": [{"api_key": "***", "name": "x"}], "Authorization": "***"}


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"]), min_size=4, max_size=40), st.text(), st.text())
def test_a_remembered_value_never_survives(secret: str, before: str, after: str) -> None:
    remember_secret(secret)

    assert secret not in redact_text(before + secret + after) or secret in "***"
