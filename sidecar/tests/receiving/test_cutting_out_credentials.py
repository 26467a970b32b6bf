"""Credentials leave an event before it is stored; everything else stays as it is, byte for byte."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_sidecar.redaction import redact
from sidecar.tests.builders import body, post, relay, settings, until
from sidecar.tests.standins import BackendStandIn

pytestmark = pytest.mark.requirement("RELAY-9", "HOUSE-7", "CC-3.1")

SECRET = "hunter2-S3cr+t"

CUT = {
    "a password in a namespace": f"postgres://etl:{SECRET}@db:5432",
    "a password with an at sign": "postgres://etl:hunter2-S3@cr+t@db:5432",
    "a token as user": f"https://{SECRET}@github.com/acme/x.git",
    "a query": f"https://lake/x?sv=1&sig={SECRET}&x=1",
    "a token in a query": f"https://lake/x?token={SECRET}",
    "a connection string": f"Server=db;Database=x;Password={SECRET};Encrypt=yes",
    "an account key": f"DefaultEndpointsProtocol=https;AccountKey={SECRET};EndpointSuffix=x",
    "a JDBC address": f"jdbc:sqlserver://db;user=etl;password={SECRET}",
    "SQL that makes a user": f"create user etl identified by '{SECRET}'",
    "SQL that sets a password": f"alter role etl with PASSWORD '{SECRET}'",
    "SQL that copies": f"COPY INTO t CREDENTIALS=(aws_key_id='a' aws_secret_key='{SECRET}')",
    "SQL with an arrow": f"call connect(secret_access_key => '{SECRET}')",
    "JSON in a message": json.dumps({"password": SECRET, "user": "etl"}),
    "JSON in JSON": json.dumps({"a": json.dumps({"api_key": SECRET})}),
    "a request that failed": "401 for Authorization: Bearer hunter2-S3cr-t.abc",
    "a private key": "-----BEGIN PRIVATE KEY-----\nhunter2/S3cr+t\n-----END PRIVATE KEY-----",
}

KEPT = [
    "select password, token from users where a.token = b.token and pwd = ? and secret = :secret",
    "select id from t where password=p.password and api_key=$1",
    "postgres://db:5432/x@v2",
    "ssh://git@github.com/acme/x.git",
    "abfss://container@account.dfs.core.windows.net",
    "someone@example.com asked for the password: it was reset",
    "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/client/python",
    "{{ env_var('DB_PASSWORD') }}",
    "the tokenizer split 5 tokens; signature matched",
]


@pytest.mark.parametrize("text", CUT.values(), ids=CUT.keys())
def test_a_credential_is_cut_and_the_rest_stays(text: str) -> None:
    clean = redact(body(1, text=text))
    assert b"hunter2" not in clean
    assert b"S3cr" not in clean
    assert b"***" in clean
    before, after = json.loads(body(1, text=text)), json.loads(clean)
    assert before.pop("text") != after.pop("text")
    assert before == after


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_one_stays(text: str) -> None:
    content = body(1, text=text)
    assert redact(content) is content


def test_columns_and_tags_with_such_names_stay() -> None:
    content = body(
        outputs=[
            {
                "namespace": "n",
                "name": "users",
                "facets": {
                    "schema": {"fields": [{"name": "password", "type": "VARCHAR"}, {"name": "token", "type": "INT"}]},
                    "columnLineage": {"fields": {"password": {"inputFields": [{"field": "secret", "name": "t"}]}}},
                },
            }
        ]
    )
    assert redact(content) == content


def test_the_value_of_an_environment_variable_is_cut_by_its_name() -> None:
    facet = {"environmentVariables": [{"name": "DB_PASSWORD", "value": SECRET}, {"name": "LANG", "value": "C"}]}
    clean = json.loads(redact(body(run={"runId": "x", "facets": {"environmentVariables": facet}})))
    assert clean["run"]["facets"]["environmentVariables"]["environmentVariables"] == [
        {"name": "DB_PASSWORD", "value": "***"},
        {"name": "LANG", "value": "C"},
    ]


@given(
    name=st.sampled_from(["password", "api_key", "DB_PASSWORD", "x-secret", "token"]),
    secret=st.text(min_size=1, max_size=40),
    beside=st.dictionaries(st.text(max_size=9), st.text(max_size=30) | st.integers(), max_size=4),
)
def test_whatever_the_secret_is_valid_json_is_left_without_it(
    name: str, secret: str, beside: dict[str, object]
) -> None:
    document = {**{f"k{key}": value for key, value in beside.items()}, name: secret}
    clean = redact(json.dumps(document).encode())
    assert json.loads(clean)[name] == "***"
    assert redact(clean) == clean


@given(st.binary(max_size=400))
def test_any_bytes_come_back(content: bytes) -> None:
    assert isinstance(redact(content), bytes)


@pytest.mark.parametrize(
    "word",
    [
        b"password='",
        b'password="',
        b"://a:",
        b"password=",
        b"secret ",
        b"identified by ",
        b"private key-----",
        b"bearer ",
        b'"name":"pwd",',
        b"token",
        b"@://",
        b"a;sig=",
    ],
)
def test_the_cost_grows_with_the_length_and_no_faster(word: bytes) -> None:
    def seconds(size: int) -> float:
        content = b"@" + word * (size // len(word))
        started = time.process_time()
        redact(content)
        return time.process_time() - started

    small = min(seconds(200_000) for _ in range(3))
    assert min(seconds(800_000) for _ in range(2)) < 0.2 + 12 * small


async def test_no_file_of_the_spool_ever_holds_the_secret(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        for number, text in enumerate(CUT.values()):
            answer = await post(sidecar.application.port, body(number=number, text=text))
            assert answer.status == 201
        assert sidecar.metrics.redacted.total == len(CUT)
        files = [path for path in (tmp_path / "spool").iterdir() if path.is_file()]
        assert len(files) >= 2
        for file in files:
            assert b"hunter2" not in file.read_bytes()


async def test_redaction_can_be_switched_off(tmp_path: Path, backend: BackendStandIn) -> None:
    content = body(text="postgres://etl:hunter2@db")
    async with relay(tmp_path, redaction=False, lineage_url=backend.url) as sidecar:
        await post(sidecar.application.port, content)
        await until(lambda: len(backend.posts) == 1)
        assert backend.posts[0].body == content
    assert settings(tmp_path).redaction
