"""How much redaction changes that is no credential, and how many planted credentials it misses.

`python -m sidecar.tests.receiving.redaction_figures` prints the tables of docs/redaction.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from floe_sidecar.redaction import MARK, redact

CORPUS = Path(__file__).parents[1] / "corpus"

PASSWORD = "Wq7-Zk2.pL9x"
AWS_ID = "AKIA" + "QX7ZK2PL9XWQ7ZK2"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYZK2PL9XWQ7"
HEX = "9f86d081884c7d659a2feaa0c55ad015"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJldGwifQ.c2lnbmF0dXJlLW9mLWV0bA"

CARRIERS: dict[str, tuple[str, str]] = {
    # name: the text, the secret in it
    "PostgreSQL URI": (f"postgres://etl:{PASSWORD}@db.example:5432/sales", PASSWORD),
    "SQLAlchemy URI": (f"mysql+pymysql://etl:{PASSWORD}@db.example/sales", PASSWORD),
    "Snowflake URI": (f"snowflake://etl:{PASSWORD}@acme-eu1/SALES", PASSWORD),
    "MongoDB URI": (f"mongodb+srv://etl:{PASSWORD}@cluster0.example/sales", PASSWORD),
    "Redis URI without a user": (f"redis://:{PASSWORD}@cache.example:6379/0", PASSWORD),
    "URI with an encoded password": ("postgres://etl:Wq7%2DZk2%40pL9x@db.example/sales", "Wq7%2DZk2%40pL9x"),
    "Git URL with a token": ("https://ghp_" + HEX + "abcd@github.com/acme/models.git", HEX),
    "Azure SAS URL": (f"https://acme.blob.core.windows.net/x?sv=2026&sig={HEX}%3D&se=2027", HEX),
    "S3 presigned URL": (f"https://b.s3.amazonaws.com/k?X-Amz-Credential={AWS_ID}%2F2026&X-Amz-Signature={HEX}", HEX),
    "JDBC PostgreSQL": (f"jdbc:postgresql://db.example/sales?user=etl&password={PASSWORD}&ssl=true", PASSWORD),
    "JDBC SQL Server": (f"jdbc:sqlserver://db.example;user=etl;password={PASSWORD};encrypt=true", PASSWORD),
    "JDBC MySQL": (f"jdbc:mysql://etl:{PASSWORD}@db.example/sales", PASSWORD),
    "JDBC Snowflake": (f"jdbc:snowflake://acme.example/?user=etl&private_key_pwd={PASSWORD}", PASSWORD),
    "JDBC Databricks": (f"jdbc:databricks://dbc.example:443;AuthMech=3;UID=token;PWD=dapi{HEX}", HEX),
    "JDBC Redshift": (
        f"jdbc:redshift:iam://c.example/sales?AccessKeyID={AWS_ID}&SecretAccessKey={AWS_SECRET}",
        AWS_SECRET,
    ),
    "JDBC Oracle thin": (f"jdbc:oracle:thin:etl/{PASSWORD}@db.example:1521/SALES", PASSWORD),
    "ODBC": (f"Driver={{ODBC Driver 18}};Server=db.example;Uid=etl;Pwd={PASSWORD};", PASSWORD),
    "libpq keywords": (f"host=db.example dbname=sales user=etl password={PASSWORD}", PASSWORD),
    "Azure storage account": (f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={AWS_SECRET}==", AWS_SECRET),
    "Service Bus": (f"Endpoint=sb://x.example/;SharedAccessKeyName=k;SharedAccessKey={AWS_SECRET}=", AWS_SECRET),
    "Kafka JAAS": (f'PlainLoginModule required username="etl" password="{PASSWORD}";', PASSWORD),
    "SQL: CREATE USER": (f"create user etl with password '{PASSWORD}'", PASSWORD),
    "SQL: IDENTIFIED BY": (f"alter user etl identified by '{PASSWORD}'", PASSWORD),
    "SQL: Redshift COPY": (
        f"copy t from 's3://b/k' credentials 'aws_access_key_id={AWS_ID};aws_secret_access_key={AWS_SECRET}'",
        AWS_SECRET,
    ),
    "SQL: Snowflake stage": (f"credentials=(aws_key_id='{AWS_ID}' aws_secret_key='{AWS_SECRET}')", AWS_SECRET),
    "SQL: DuckDB secret": (f"create secret s (type s3, key_id '{AWS_ID}', secret '{AWS_SECRET}')", AWS_SECRET),
    "SQL: DuckDB attach": (f"attach 'dbname=sales user=etl password={PASSWORD}' as pg (type postgres)", PASSWORD),
    "SQL: Spark options": (f"create table t using jdbc options (url 'jdbc:x', password '{PASSWORD}')", PASSWORD),
    "SQL: SET": (f"set s3_secret_access_key = '{AWS_SECRET}'", AWS_SECRET),
    "SQL: token in a comment": (f"select 1 -- called with dapi{HEX}", HEX),
    "AWS key pair in a file": (f"aws_access_key_id = {AWS_ID}\naws_secret_access_key = {AWS_SECRET}", AWS_SECRET),
    "AWS access key id alone": (f"The AWS Access Key Id {AWS_ID} does not exist", AWS_ID),
    "Spark property, S3": (json.dumps({"spark.hadoop.fs.s3a.secret.key": AWS_SECRET}), AWS_SECRET),
    "Spark property, Azure": (
        json.dumps({"fs.azure.account.key.acme.dfs.core.windows.net": AWS_SECRET + "=="}),
        AWS_SECRET,
    ),
    "Header: bearer": (f"401 for Authorization: Bearer {HEX}{HEX}", HEX),
    "Header: JWT": (f"token {JWT} has expired", "c2lnbmF0dXJlLW9mLWV0bA"),
    "Header: X-API-Key": (f"X-API-Key: {HEX}", HEX),
    "Header: X-API-Token": (f"X-Api-Token: {HEX}", HEX),
    "Option: --password=": (f"pg_dump --password={PASSWORD} sales", PASSWORD),
    "Option: --password": (f"mysqldump --user etl --password {PASSWORD} sales", PASSWORD),
    "Option: curl -u": (f"curl -u etl:{PASSWORD} https://lake.example", PASSWORD),
    "Shell: export": (f"export DB_PASSWORD={PASSWORD}", PASSWORD),
    "Shell: export of a session": (f"export AWS_SESSION_TOKEN={AWS_SECRET}", AWS_SECRET),
    "YAML": (f"  user: etl\n  password: {PASSWORD}\n", PASSWORD),
    "Python repr": (f"Settings(user='etl', password='{PASSWORD}')", PASSWORD),
    "Python dict": ("connect({'user': 'etl', 'password': '" + PASSWORD + "'})", PASSWORD),
    "JSON": (json.dumps({"user": "etl", "client_secret": PASSWORD}), PASSWORD),
    "Form": (f"grant_type=refresh_token refresh_token={HEX}", HEX),
    "JSON in JSON": (json.dumps({"conf": json.dumps({"api_key": HEX})}), HEX),
    "Slack token": ("xoxb-123456789012-abcdefWq7Zk2pL9x", "abcdefWq7Zk2pL9x"),
    "Private key": (f"-----BEGIN PRIVATE KEY-----\n{AWS_SECRET}\n-----END PRIVATE KEY-----", AWS_SECRET),
    "Words of a person": (f"the password for etl is {PASSWORD}", PASSWORD),
}


def _event(**changes: Any) -> dict[str, Any]:
    return {
        "eventTime": "2026-11-21T10:00:00Z",
        "eventType": "FAIL",
        "job": {"namespace": "sales", "name": "orders", "facets": changes.pop("job", {})},
        "run": {"runId": "0193a000-0000-7000-8000-000000000001", "facets": changes.pop("run", {})},
        "outputs": changes.pop("outputs", []),
    }


def _places(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where credentials have been seen (OpenLineage#757, #1141, Marquez#2689), and where else one may stand."""
    yield "dataset namespace", _event(outputs=[{"namespace": text, "name": "t"}])
    yield "dataset name", _event(outputs=[{"namespace": "n", "name": text}])
    source = {"dataSource": {"name": "db", "uri": text}}
    yield "dataSource.uri", _event(outputs=[{"namespace": "n", "name": "t", "facets": source}])
    yield "sql", _event(job={"sql": {"query": text}})
    yield "errorMessage.message", _event(run={"errorMessage": {"message": f"failed: {text}"}})
    yield "errorMessage.stackTrace", _event(run={"errorMessage": {"stackTrace": f"File a.py\n  {text}\n"}})
    yield "properties", _event(run={"spark_properties": {"properties": {"spark.app.conf": text}}})
    yield (
        "environment variable",
        _event(run={"environmentVariables": {"environmentVariables": [{"name": "CONN", "value": text}]}}),
    )


@dataclass(frozen=True)
class Figures:
    """What was measured."""

    events: int
    changed: tuple[str, ...]
    planted: int
    missed: tuple[tuple[str, str], ...]

    def lines(self) -> Iterator[str]:
        """The tables in Markdown."""
        yield "| | |"
        yield "|---|---|"
        yield f"| real events without a credential | {self.events} |"
        yield f"| of these changed | {len(self.changed)} |"
        places = self.planted // len(CARRIERS)
        yield f"| planted credentials ({len(CARRIERS)} forms × {places} places) | {self.planted} |"
        yield f"| of these missed | {len(self.missed)} |"
        yield ""
        yield "| missed form | in how many places |"
        yield "|---|---|"
        forms = [form for form, _ in self.missed]
        for form in dict.fromkeys(forms):
            yield f"| {form} | {forms.count(form)} |"


def measure() -> Figures:
    """Redacts every real event, and every form in every place."""
    real = [line for file in sorted(CORPUS.glob("*.ndjson")) for line in file.read_bytes().splitlines()]
    changed = tuple(_difference(line) for line in real if redact(line) != line)
    planted, missed = 0, []
    for form, (text, secret) in CARRIERS.items():
        for place, event in _places(text):
            planted += 1
            clean = redact(json.dumps(event).encode())
            json.loads(clean)  # whatever was cut, JSON is left
            if secret.encode() in clean:
                missed.append((form, place))
    return Figures(len(real), changed, planted, tuple(missed))


def _difference(line: bytes) -> str:
    """What was changed, with what stands around it."""
    clean = redact(line)
    at = next(i for i, (a, b) in enumerate(zip(line, clean, strict=False)) if a != b)
    return f"{line[max(0, at - 40) : at + 40]!r} became {clean[max(0, at - 40) : at + len(MARK) + 20]!r}"


if __name__ == "__main__":
    figures = measure()
    print("\n".join(figures.lines()))  # noqa: T201 - a command
    print("\n".join(figures.changed))  # noqa: T201 - as above
