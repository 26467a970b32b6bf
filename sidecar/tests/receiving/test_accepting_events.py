"""Which events are taken, which are refused, and what the sender is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_sidecar import events
from floe_sidecar.events import EventRefusedError, Validity
from sidecar.tests.builders import ask, body, event, post, relay, request, run_id, until
from sidecar.tests.standins import BackendStandIn

pytestmark = pytest.mark.requirement("RELAY-1", "REQ-521")

FACET = {"_producer": "https://a.example", "_schemaURL": "https://a.example/facet.json"}


@pytest.mark.parametrize(
    ("changes", "validity", "key"),
    [
        ({}, Validity.VALID, run_id(1)),
        ({"run": {"runId": run_id(1).upper()}}, Validity.VALID, run_id(1)),
        ({"eventType": ...}, Validity.VALID, run_id(1)),
        ({"run": ...}, Validity.VALID, "job:sales/orders/demo.orders"),
        ({"run": ..., "job": ..., "dataset": {"namespace": "n", "name": "d"}}, Validity.VALID, "dataset:n/d"),
        ({"run": {"runId": run_id(1), "facets": {"a": FACET}}}, Validity.VALID, run_id(1)),
        ({"schemaURL": ...}, Validity.CORE_INVALID, run_id(1)),
        ({"producer": 3}, Validity.CORE_INVALID, run_id(1)),
        ({"eventTime": "2026-11-21T10:00:00"}, Validity.CORE_INVALID, run_id(1)),
        ({"eventTime": "soon"}, Validity.CORE_INVALID, run_id(1)),
        ({"run": {"runId": "run_id"}}, Validity.CORE_INVALID, "run_id"),
        ({"run": {"runId": 7}}, Validity.CORE_INVALID, "7"),
        ({"run": {}}, Validity.CORE_INVALID, "job:sales/orders/demo.orders"),
        ({"run": "x"}, Validity.CORE_INVALID, "job:sales/orders/demo.orders"),
        ({"job": {"name": "j"}}, Validity.CORE_INVALID, run_id(1)),
        ({"job": ..., "dataset": {"namespace": "n", "name": "d"}}, Validity.CORE_INVALID, run_id(1)),
        ({"run": {"runId": run_id(1), "facets": {"a": {}}}}, Validity.FACET_INVALID, run_id(1)),
        ({"outputs": [{"namespace": "n", "name": "d", "facets": {"a": 1}}]}, Validity.FACET_INVALID, run_id(1)),
        ({"inputs": [{"namespace": "n", "name": "d", "inputFacets": {"a": {}}}]}, Validity.FACET_INVALID, run_id(1)),
    ],
)
def test_an_event_that_names_a_job_or_a_dataset_is_taken_whatever_else_is_wrong(
    changes: dict[str, Any], validity: Validity, key: str
) -> None:
    read = events.read(body(1, **changes))
    assert (read.validity, read.key) == (validity, key)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"job": NaN}', "not JSON"),
        (b'{"job": {"name": "\xff"}}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 100_000, "not JSON"),
        (b"[]", "JSON array"),
        (b'"x"', "JSON string"),
        (b"null", "JSON null"),
        (b"{}", "neither a job nor a dataset"),
        (b'{"job": {"name": ""}}', "neither a job nor a dataset"),
        (b'{"job": {"namespace": "n"}, "run": {"runId": "r"}}', "neither a job nor a dataset"),
    ],
)
async def test_what_is_no_event_is_refused_with_what_is_wrong(tmp_path: Path, content: bytes, told: str) -> None:
    async with relay(tmp_path) as sidecar:
        answer = await post(sidecar.application.port, content)
        assert answer.status == 400
        assert told in answer.json["error"]
        assert sidecar.metrics.refused.total == 1
        assert sidecar.writer.level.events == 0


async def test_events_that_break_the_specification_are_counted_by_level_and_sent_as_they_came(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        contents = [body(1), body(2, schemaURL=...), body(3, run={"runId": run_id(3), "facets": {"a": {}}})]
        for content in contents:
            assert (await post(sidecar.application.port, content)).status == 201
        await until(lambda: len(backend.posts) == 3)
        assert sorted(seen.body for seen in backend.posts) == sorted(contents)
        assert sidecar.metrics.invalid.values == {"core": 1, "facet": 1}


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/lineage",
        "/api/v1/lineage/",
        "/api/v1/api/v1/lineage",
        "/api/v1/lineage/api/v1/lineage",
        "/api/v1/lineage?x=1",
    ],
)
async def test_paths_that_clients_make_by_joining_twice_are_taken(tmp_path: Path, path: str) -> None:
    async with relay(tmp_path) as sidecar:
        assert (await post(sidecar.application.port, body(), path)).status == 201


async def test_another_path_and_another_method_are_told_what_would_be_right(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        missing = await post(sidecar.application.port, body(), "/lineage")
        (wrong,) = await ask(sidecar.application.port, request(method="GET"))
        assert (missing.status, "/api/v1/lineage" in missing.json["error"]) == (404, True)
        assert (wrong.status, wrong.headers["allow"]) == (405, "POST")


async def test_a_batch_is_answered_event_by_event(tmp_path: Path) -> None:
    batch = [event(1), {"run": {}}, event(2), 7]
    async with relay(tmp_path) as sidecar:
        answer = await post(sidecar.application.port, json.dumps(batch).encode(), "/api/v1/lineage/batch")
        assert answer.status == 200
        assert answer.json["status"] == "partial_success"
        assert answer.json["summary"] == {
            "received": 4,
            "successful": 2,
            "failed": 2,
            "retriable": 0,
            "non_retriable": 2,
        }
        assert [(failure["index"], failure["retriable"]) for failure in answer.json["failed_events"]] == [
            (1, False),
            (3, False),
        ]
        assert sidecar.writer.level.events == 2


@pytest.mark.parametrize("wrap", [lambda events: events, lambda events: {"events": events}], ids=["array", "object"])
async def test_a_batch_keeps_the_bytes_and_the_order_of_its_events(
    tmp_path: Path, backend: BackendStandIn, wrap: Any
) -> None:
    batch = [event(1, "START"), event(1, "COMPLETE"), event(1, "OTHER", é="ü", z=1.50)]
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        content = json.dumps(wrap(batch), indent=1).encode()
        answer = await post(sidecar.application.port, content, "/api/v1/lineage/batch")
        assert answer.json["status"] == "success"
        await until(lambda: len(backend.posts) == 3)
        assert [seen.event for seen in backend.posts] == batch
        assert all(seen.body in content for seen in backend.posts)


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{}", 400), (b"[", 400), (b'{"\xff":[1]}', 400), (b"[1,2,3]", 413), (b"[1]", 200), (b"[]", 200)],
)
async def test_a_batch_that_is_none_is_refused_as_a_whole(tmp_path: Path, content: bytes, status: int) -> None:
    async with relay(tmp_path, batch_max_events=2) as sidecar:
        assert (await post(sidecar.application.port, content, "/api/v1/lineage/batch")).status == status


@given(
    content=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text() | st.floats() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["job", "run", "dataset", "name", "namespace", "runId", "facets"]) | st.text(), inner
            )
        ),
    ).map(lambda document: json.dumps(document).encode())
)
def test_reading_gives_an_event_or_says_what_is_wrong_and_nothing_else(content: bytes) -> None:
    try:
        told = events.read(content).key
    except EventRefusedError as error:
        told = str(error)
    assert told


def test_a_key_is_never_long() -> None:
    assert len(events.read(body(1, run=..., job={"namespace": "n" * 9999, "name": "j"})).key) < 256
