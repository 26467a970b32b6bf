"""Measured: nothing of real events is changed, planted credentials are found, and a platform's own words count."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_sidecar.redaction import Redactor, redact
from sidecar.tests.builders import body, post, relay, until
from sidecar.tests.receiving.redaction_figures import CORPUS, measure
from sidecar.tests.standins import BackendStandIn

pytestmark = pytest.mark.requirement("RELAY-9", "HOUSE-7")

PAGE = (Path(__file__).parents[3] / "docs" / "redaction.md").read_text(encoding="utf-8")


def test_no_real_event_is_changed_and_what_is_missed_is_what_the_page_says() -> None:
    figures = measure()
    assert figures.events >= 150
    assert figures.changed == ()
    assert {form for form, _ in figures.missed} == {"Words of a person"}
    assert "\n".join(figures.lines()) in PAGE


def test_every_corpus_names_its_source_version_and_licence() -> None:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (CORPUS / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| `")
    ]
    assert {row[0].strip("`") for row in rows} == {file.name for file in CORPUS.glob("*.ndjson")}
    assert all(all(row) for row in rows)


OWN = Redactor(names=("X-Acme-Session", "pin", "password"), prefixes=("acme_pat_",))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('{"x-acme-session": "abc def"}', '{"x-acme-session": "***"}'),
        ("GET /x?pincode=1234&y=1", "GET /x?pincode=***&y=1"),
        ("used acme_pat_Ab12.x-y here", "used acme_pat_*** here"),
        ("not_acme_pat_Ab12 here", "not_acme_pat_Ab12 here"),
        ("password='s3cret' still counts", "password='***' still counts"),
        ("spinning and pinned", "spinning and pinned"),
    ],
)
def test_words_of_the_platform_count_beside_the_shipped_ones(text: str, clean: str) -> None:
    assert OWN(text.encode()).decode() == clean


async def test_the_sidecar_cuts_by_the_words_that_it_is_told(tmp_path: Path, backend: BackendStandIn) -> None:
    given = {"redaction_names": ("pincode",), "redaction_prefixes": ("acme_pat_",), "lineage_url": backend.url}
    async with relay(tmp_path, **given) as sidecar:
        content = body(note="acme_pat_Ab12", conf={"pincode": "8271"})
        assert (await post(sidecar.application.port, content)).status == 201
        await until(lambda: sidecar.writer.level.events == 0)
    assert (backend.posts[0].event["note"], backend.posts[0].event["conf"]) == ("acme_pat_***", {"pincode": "***"})


KEPT = [
    "select * from keys where access_key = keys_2026_archive_id and b.secret = c.secret",
    "password: reset by the user",
    "select s.session_token from s join t on s.session_token=t.session_token and refresh_token is not null",
    "password_changed_at = current_date",
    "eyJhbGciOiJIUzI1NiJ9 is only a header",
    "AKIAN is a name, dapi_v2 a module, ghp_short no token",
    "run curl with -u for the user",
    "thin:crust/pizza",
]


@pytest.mark.parametrize("text", KEPT)
def test_what_only_begins_like_a_credential_stays(text: str) -> None:
    content = body(1, text=text)
    assert redact(content) is content


@settings(max_examples=60)
@given(
    st.text(max_size=60), st.sampled_from(["AKIA", "password: ", "secret = ", "--password ", "curl -u a:", "thin:a/"])
)
def test_whatever_follows_a_beginning_json_is_left(rest: str, beginning: str) -> None:
    content = json.dumps({"text": beginning + rest, "after": [1, "x"]}).encode()
    clean = json.loads(OWN(content))
    assert clean["after"] == [1, "x"]
    assert OWN(OWN(content)) == OWN(content)


@pytest.mark.parametrize(
    "unit", [b"password: ", b"--password ", b"curl -u a", b"thin:a/", b"secret =  ", b"eyJa.eyJ", b"AKIA", b"acme_pat_"]
)
def test_the_cost_grows_with_the_length_and_not_faster(unit: bytes) -> None:
    def seconds(count: int) -> float:
        text = unit * count
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            OWN(text)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(8000) < 8 * max(seconds(2000), 0.002)


@pytest.mark.parametrize("text", ["the password ", "password=", "password: ", "identified by ", "secret =>", "api_key"])
def test_a_name_at_the_end_of_a_string_takes_nothing_of_what_follows(text: str) -> None:
    content = json.dumps({"message": text, "user": "etl", "host": "db"}).encode()
    assert redact(content) is content
