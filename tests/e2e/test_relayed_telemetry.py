"""Telemetry of a real SDK through the sidecar to a real Collector, which was not there when the pod ended."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from sidecar.tests.builders import RelayProcess, relay_process
from tests.e2e.cluster.collector import chart_defaults, collector
from tests.e2e.cluster.otlp_backend import Signal, otlp_backend
from tests.e2e.cluster.processes import LOOPBACK, free_port
from tests.e2e.otlp_client import LOG_BODY, METRIC_NAME, SPAN_NAME, send_all_signals

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-4")]

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")


async def test_what_an_sdk_exported_before_a_collector_was_there_arrives_through_it(tmp_path: Path) -> None:
    nobody = f"http://{LOOPBACK}:{free_port()}"
    with relay_process(tmp_path, LINEAGE_URL=nobody, TELEMETRY_URL=nobody) as sidecar:
        await asyncio.to_thread(send_all_signals, f"http://{LOOPBACK}:{sidecar.port}")
        _, lines = await asyncio.to_thread(sidecar.end)
    kept = lines[-1]["unsent_telemetry_requests"]
    assert kept >= len(SIGNALS)
    async with otlp_backend() as backend:
        with (
            collector([chart_defaults(), exporting_to(backend.http_url)], tmp_path, {}) as running,
            relay_process(tmp_path, LINEAGE_URL=nobody, TELEMETRY_URL=running.http_url) as again,
        ):
            exports = await backend.received(*SIGNALS)
            await delivered(again, kept)
    traces, metrics, logs = (exports[signal].request for signal in SIGNALS)
    assert isinstance(traces, ExportTraceServiceRequest)
    assert isinstance(metrics, ExportMetricsServiceRequest)
    assert isinstance(logs, ExportLogsServiceRequest)
    assert traces.resource_spans[0].scope_spans[0].spans[0].name == SPAN_NAME
    assert metrics.resource_metrics[0].scope_metrics[0].metrics[0].name == METRIC_NAME
    assert logs.resource_logs[0].scope_logs[0].log_records[0].body.string_value == LOG_BODY


@pytest.mark.requirement("RELAY-4")
async def test_what_a_collector_refuses_for_good_becomes_a_dead_letter_and_holds_up_nothing(tmp_path: Path) -> None:
    async with otlp_backend() as backend, httpx.AsyncClient(trust_env=False) as client:
        with (
            collector([chart_defaults(), exporting_to(backend.http_url)], tmp_path, {}) as running,
            relay_process(tmp_path, LINEAGE_URL=running.http_url, TELEMETRY_URL=running.http_url) as sidecar,
        ):
            url = f"http://{LOOPBACK}:{sidecar.port}"
            headers = {"content-type": "application/x-protobuf"}
            answer = await client.post(f"{url}/v1/traces", content=b"\xff" * 9, headers=headers)
            await asyncio.to_thread(send_all_signals, url)
            await backend.received(*SIGNALS)
            metrics = (await client.get(f"http://{LOOPBACK}:{sidecar.health_port}/metrics")).text
    assert answer.status_code == 200
    assert 'floe_sidecar_telemetry_dead_total{reason="status_400"} 1' in metrics


def exporting_to(url: str) -> dict[str, Any]:
    exporter = "otlp_http/backend"
    pipelines = {signal: {"processors": [], "exporters": [exporter]} for signal in SIGNALS}
    return {"exporters": {exporter: {"endpoint": url}}, "service": {"pipelines": pipelines}}


async def delivered(sidecar: RelayProcess, requests: int) -> None:
    async with asyncio.timeout(20):
        while (await asyncio.to_thread(sidecar.status))["telemetry"]["delivered"] < requests:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.02)
