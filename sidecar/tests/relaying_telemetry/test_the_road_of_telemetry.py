"""Telemetry takes a road of its own through the sidecar: real exporters, a backend that works, rejects or is away."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from floe_sidecar.queue import main as queue
from sidecar.tests.builders import Answer, ask, body, get, post, relay, relay_process, request, until
from sidecar.tests.standins import BackendStandIn, Post, Reply, backend_in_thread

pytestmark = pytest.mark.requirement("HOUSE-4")

PROTOBUF = "application/x-protobuf"
OPAQUE = bytes(range(256))


@pytest.fixture
def collector(backend: BackendStandIn) -> BackendStandIn:
    """A backend of telemetry that takes everything."""
    backend.answer = lambda _post: Reply(200)
    return backend


async def export(port: int, content: bytes, path: str = "/v1/traces", **headers: str) -> Answer:
    return await post(port, content, path, **{"Content_Type": PROTOBUF, **headers})


async def test_an_export_is_answered_when_it_is_kept_and_arrives_byte_for_byte(
    tmp_path: Path, collector: BackendStandIn
) -> None:
    async with relay(tmp_path, telemetry_url=f"{collector.url}/otlp") as sidecar:
        answer = await export(sidecar.application.port, OPAQUE)
        as_json = await export(sidecar.application.port, b'{"a": 1}', "/v1/logs", Content_Type="application/json")
        zipped = await export(
            sidecar.application.port, gzip.compress(b"zipped"), "/v1/metrics", Content_Encoding="gzip"
        )
        await until(lambda: len(collector.accepted) == 3)
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"", PROTOBUF)
    assert (as_json.status, as_json.body, as_json.headers["content-type"]) == (200, b"{}", "application/json")
    assert zipped.status == 200
    assert {(seen.path, seen.headers["content-type"], seen.body) for seen in collector.accepted} == {
        ("/otlp/v1/traces", PROTOBUF, OPAQUE),
        ("/otlp/v1/logs", "application/json", b'{"a": 1}'),
        ("/otlp/v1/metrics", PROTOBUF, b"zipped"),
    }


def test_a_real_sdk_exports_through_it_and_its_spans_arrive(tmp_path: Path) -> None:
    with backend_in_thread(BackendStandIn(lambda _post: Reply(200))) as collector:
        with relay_process(tmp_path, LINEAGE_URL=collector.url, TELEMETRY_URL=collector.url) as sidecar:
            provider = TracerProvider()
            exporter = OTLPSpanExporter(f"http://127.0.0.1:{sidecar.port}/v1/traces")
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            with provider.get_tracer("test").start_as_current_span("load orders"):
                pass
            provider.shutdown()
            assert sidecar.end()[0] == 0
        (seen,) = collector.accepted
    (spans,) = ExportTraceServiceRequest.FromString(seen.body).resource_spans
    assert [span.name for scope in spans.scope_spans for span in scope.spans] == ["load orders"]


async def test_an_export_of_nothing_is_a_success_that_nobody_hears_of(
    tmp_path: Path, collector: BackendStandIn
) -> None:
    async with relay(tmp_path, telemetry_url=collector.url) as sidecar:
        assert (await export(sidecar.application.port, b"")).status == 200
    assert not collector.posts


async def test_what_is_no_export_is_told(tmp_path: Path, collector: BackendStandIn) -> None:
    async with relay(tmp_path, telemetry_url=collector.url) as sidecar:
        wrong_type = await export(sidecar.application.port, b"x", Content_Type="text/plain")
        (got,) = await ask(sidecar.application.port, request(path="/v1/traces", method="GET"))
        assert sidecar.metrics.telemetry.refused.values == {"type": 1, "method": 1}
    assert (wrong_type.status, "application/x-protobuf" in wrong_type.json["message"]) == (415, True)
    assert (got.status, got.headers["allow"]) == (405, "POST")


async def test_without_a_telemetry_backend_there_is_no_such_path(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        assert (await export(sidecar.application.port, OPAQUE)).status == 404
        assert not (tmp_path / "spool" / "telemetry.sqlite").exists()


@pytest.mark.requirement("RELAY-1", "RELAY-2")
async def test_what_was_acknowledged_is_exported_by_the_next_start(tmp_path: Path, collector: BackendStandIn) -> None:
    await collector.stop()
    async with relay(tmp_path, telemetry_url=collector.url) as sidecar:
        assert (await export(sidecar.application.port, OPAQUE)).status == 200
    await collector.start()
    async with relay(tmp_path, telemetry_url=collector.url):
        await until(lambda: [seen.body for seen in collector.accepted] == [OPAQUE])


@pytest.mark.requirement("RELAY-4")
async def test_an_answer_that_asks_for_patience_is_obeyed_and_the_export_sent_again(
    tmp_path: Path, collector: BackendStandIn
) -> None:
    answers = iter([Reply(503, {"Retry-After": "0"}), Reply(429), Reply(502)])
    collector.answer = lambda _post: next(answers, Reply(200))
    async with relay(tmp_path, telemetry_url=collector.url) as sidecar:
        await export(sidecar.application.port, OPAQUE)
        await until(lambda: len(collector.accepted) == 1)
    assert [seen.body for seen in collector.posts] == [OPAQUE] * 4


def rejecting(count: int, why: str) -> Callable[[Post], Reply]:
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = count
    response.partial_success.error_message = why
    return lambda _post: Reply(200, body=response.SerializeToString())


async def test_a_partial_success_is_counted_logged_once_and_not_sent_again(
    tmp_path: Path, collector: BackendStandIn, caplog: pytest.LogCaptureFixture
) -> None:
    collector.answer = rejecting(300, "too old")
    with caplog.at_level(logging.WARNING, "floe_sidecar"):
        async with relay(tmp_path, telemetry_url=collector.url) as sidecar:
            for number in range(3):
                await export(sidecar.application.port, bytes([number]))
            relayed = sidecar.telemetry
            assert relayed is not None
            await until(lambda: sidecar.metrics.telemetry.delivered.total == 3 and relayed.writer.level.events == 0)
            text = (await get(sidecar.health.port, "/metrics")).body.decode()
            status = (await get(sidecar.health.port, "/status")).json["telemetry"]
    assert 'floe_sidecar_telemetry_rejected_items_total{signal="traces"} 900' in text
    assert (status["delivered"], status["pending"], status["rejected_items"]) == (3, 0, 900)
    told: list[Any] = [record for record in caplog.records if "took a part" in record.getMessage()]
    assert [record.fields for record in told] == [{"signal": "traces", "rejected": 300, "reason": "too old"}]
    assert len(collector.posts) == 3


@pytest.mark.requirement("RELAY-5")
async def test_telemetry_that_fills_its_own_room_takes_none_of_lineages(tmp_path: Path) -> None:
    room = 1024 * 1024
    async with relay(tmp_path, telemetry_url="http://127.0.0.1:9", telemetry_max_bytes=room) as sidecar:
        port = sidecar.application.port
        answers = [await export(port, bytes([number]) * 100_000) for number in range(12)]
        refused = [answer for answer in answers if answer.status != 200]
        assert refused
        assert {(answer.status, answer.headers["retry-after"]) for answer in refused} == {(503, "1")}
        assert b"full" in refused[0].body
        assert (await post(port, body(padding="x" * 50_000))).status == 201
        assert (await get(sidecar.health.port, "/readyz")).status == 200
        assert sidecar.telemetry is not None
        assert (sidecar.telemetry.writer.level.size, sidecar.writer.level.events) <= (room, 1)


async def test_a_dead_telemetry_backend_holds_up_no_lineage_and_no_end(tmp_path: Path, backend: BackendStandIn) -> None:
    async with relay(tmp_path, lineage_url=backend.url, telemetry_url="http://127.0.0.1:9") as sidecar:
        await export(sidecar.application.port, OPAQUE)
        await post(sidecar.application.port, body())
        await until(lambda: len(backend.accepted) == 1)


@pytest.mark.requirement("HOUSE-5")
def test_at_the_pods_end_what_telemetry_is_left_is_told_and_the_end_does_not_wait_for_it(tmp_path: Path) -> None:
    message = tmp_path / "termination-log"
    message.touch()
    with backend_in_thread(BackendStandIn()) as backend:
        variables = {"TELEMETRY_URL": "http://127.0.0.1:9", "TERMINATION_MESSAGE_FILE": str(message)}
        with relay_process(tmp_path, LINEAGE_URL=backend.url, SHUTDOWN_SECONDS="15", **variables) as sidecar:
            assert asyncio.run(export(sidecar.port, OPAQUE)).status == 200
            code, lines = sidecar.end()
    assert (code, lines[-1]["unsent_telemetry_requests"]) == (0, 1)
    assert b'"unsent_telemetry_requests":1' in message.read_bytes()


@pytest.mark.requirement("RELAY-4")
async def test_dead_letters_of_telemetry_are_listed_and_sent_again_by_the_running_relay_or_without_one(
    tmp_path: Path, collector: BackendStandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    collector.answer = lambda _post: Reply(400)
    folder = str(tmp_path / "spool")
    async with relay(tmp_path, telemetry_url=collector.url) as sidecar:
        relayed = sidecar.telemetry
        assert relayed is not None
        for content in (b"one", b"two"):
            await export(sidecar.application.port, content)
        await until(lambda: relayed.writer.level.dead_letters == 2)
        assert await asyncio.to_thread(queue, ["list", "--telemetry", "--spool", folder]) == 0
        assert capsys.readouterr().out.count("status_400") == 2
        collector.answer = lambda _post: Reply(200)
        assert await asyncio.to_thread(queue, ["replay", "--telemetry", "--spool", folder, "--sequence", "1"]) == 0
        await until(lambda: [seen.body for seen in collector.accepted] == [b"one"])
        await until(lambda: relayed.writer.level.events == 0)
    assert queue(["purge", "--telemetry", "--spool", folder, "--all"]) == 0
    assert queue(["list", "--telemetry", "--spool", folder]) == 0
    assert "status_400" not in capsys.readouterr().out


async def test_a_relay_without_telemetry_says_so_when_it_is_asked_to_change_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with relay(tmp_path) as sidecar:
        (sidecar.directory / "telemetry.sqlite").touch()  # left by an earlier process that had it
        arguments = ["purge", "--telemetry", "--spool", str(sidecar.directory), "--all"]
        assert await asyncio.to_thread(queue, arguments) == 1
    assert "does not relay telemetry" in capsys.readouterr().err


@pytest.mark.requirement("HOUSE-7")
async def test_the_backends_key_is_the_sidecars_alone_and_renewed_without_a_restart(
    tmp_path: Path, collector: BackendStandIn
) -> None:
    key = tmp_path / "key"
    key.write_text("first-key")
    headers = {"X-Key": "${api_key}", "X-Scope-OrgID": "tenant"}
    collector.answer = lambda seen: Reply(200 if seen.headers["x-key"] == "second-key" else 401)
    async with relay(
        tmp_path, telemetry_url=collector.url, telemetry_api_key_file=key, telemetry_headers=headers
    ) as sidecar:
        await export(sidecar.application.port, OPAQUE)
        await until(lambda: len(collector.posts) == 1)
        key.write_text("second-key")
        await until(lambda: len(collector.accepted) == 1)
    assert collector.accepted[0].headers["x-scope-orgid"] == "tenant"
    assert "authorization" not in collector.accepted[0].headers
