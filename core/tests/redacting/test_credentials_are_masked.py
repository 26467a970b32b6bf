"""What is masked, and what is not."""

import json
import time
from base64 import b64encode

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
        pytest.param(r'{"body": "{\"password\": \"hunter2 x\"}"}', "hunter2", id="password in JSON in JSON"),
        pytest.param("password: 'two words'", "words", id="password of two words"),
        pytest.param(r'password: "a\"quoted tail"', "tail", id="password with an escaped quote"),
        pytest.param('password="never closed', "closed", id="password whose quote is never closed"),
        pytest.param("password:\n  hunter22\n", "hunter22", id="password on the next line"),
        pytest.param("api_keys: ['hunter22', 'hunter33']", "hunter33", id="a list of keys"),
        pytest.param("{'password': b'hunter22'}", "hunter22", id="bytes in repr"),
        pytest.param("GET /x?a=1&token=hunter22&b=2", "hunter22", id="token in a query"),
        pytest.param("https://b.s3.eu.example/o?X-Amz-Signature=deadbeef", "deadbeef", id="signature of an address"),
        pytest.param('{"Authorization": "Negotiate abcdefgh"}', "abcdefgh", id="header of any scheme, in JSON"),
        pytest.param("authorization: hunter22", "hunter22", id="header without a scheme"),
        pytest.param("Cookie: a=1; session=hunter22", "hunter22", id="cookies"),
        pytest.param("https://hunter22@git.example/x", "hunter22", id="token as the user of an address"),
        pytest.param("postgresql://floe:hun@ter22@db/x", "ter22", id="password with an at sign"),
        pytest.param("redis://:hun/ter22@db", "ter22", id="password with a slash"),
        pytest.param("the key AKIAIOSFODNN7EXAMPLE is", "AKIAIOSFODNN7", id="access key of AWS"),
        pytest.param("aws_secret_access_key = wJalr/K7MDENG", "wJalr/K7MDENG", id="secret key of AWS"),
        pytest.param("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWIi", id="JSON web token alone"),
        pytest.param("ALTER USER x IDENTIFIED BY 'hunter22'", "hunter22", id="password in SQL"),
        pytest.param("passphrase=hunter22", "hunter22", id="passphrase"),
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
        pytest.param("token_count=5 max_tokens: 100", id="amounts"),
        pytest.param("password=None, token: null", id="nothing"),
        pytest.param("credentials.DD_API_KEY.secret: datadog-credentials", id="the manifest's path of a Secret's name"),
        pytest.param("connection_secret_ref: team, api_key_variable: DD_API_KEY", id="names of places"),
        pytest.param("Add `credentials: {X: {secret: <its name>, key: <its key>}}`.", id="a remedy with placeholders"),
        pytest.param("Basic authentication is needed; no Token provided.", id="schemes in a sentence"),
        pytest.param("http://host:80/path?a=b@c http://[::1]:4317", id="addresses without user info"),
        pytest.param("tokenizer=fast passwordless=true", id="words that only begin like one"),
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


@pytest.mark.parametrize(
    "hostile",
    [
        "a",
        "a.",
        "token",
        "token=",
        'token="',
        r"token=\"",
        "token  ",
        "token[",
        "://a:",
        "eyJaaaaaaaa-",
        "a://",
        "Bearer  ",
    ],
)
def test_the_time_does_not_grow_faster_than_the_text(hostile: str) -> None:
    text = hostile * (200_000 // len(hostile))
    started = time.process_time()
    redact_text(text)
    assert time.process_time() - started < 5.0, "a quadratic pattern would need minutes"


@given(st.text(alphabet="atoken=:'\"\\{[ \n.-/@?&", max_size=300))
def test_what_is_masked_stays_masked(text: str) -> None:
    once = redact_text(f"{text} password=hunter22")
    assert "hunter22" not in once
    assert "hunter22" not in redact_text(once)


def test_what_is_remembered_is_masked_in_every_spelling() -> None:
    secret = 'p"w\n/ü&x'
    remember_secret(secret)
    for text in (
        json.dumps({"a": secret}),
        repr(secret),
        "x%0A%2F p%22w%0A%2F%C3%BC%26x",
        b64encode(secret.encode()).decode(),
    ):
        assert "***" in redact_text(text), text


def test_what_is_no_text_is_masked_under_a_telling_key() -> None:
    document = {
        "password": b"hunter22",
        "pin_token": 12345678,
        "api_keys": ["hunter22"],
        "max_tokens": 100,
        "token": None,
    }
    expected = {"password": "***", "pin_token": "***", "api_keys": "***", "max_tokens": 100, "token": None}
    assert redact_value(document) == expected


def test_objects_are_given_as_their_redacted_text_at_any_depth() -> None:
    assert redact_value({"a": [ValueError("password=hunter22")]}) == {"a": ["password=***"]}
    assert redact_value({"a": {"password=hunter22"}, "password=hunter22": 1}) == {
        "a": ["password=***"],
        "password=***": 1,
    }


def test_a_value_that_contains_itself_comes_to_an_end() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert "***" in str(redact_value(loop))
