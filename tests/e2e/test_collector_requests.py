"""Requests of any size through a real Collector with a telemetry plugin's configuration: cut, and nothing lost."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from floe_core.manifest.models import PluginChoice
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry
from floe_core.testing.artifacts import sample_artifacts
from tests.e2e.cluster.collector import chart_defaults, collector
from tests.e2e.cluster.otlp_backend import OtlpBackend, otlp_backend

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("REQ-053")]

GRPC_SERVERS_DEFAULT_LIMIT_BYTES = 4 * 2**20
SPANS = 3000


def large_request() -> bytes:
    """About 9 MB of spans, as a batch of 8192 with long statements has."""
    statement = KeyValue(key="db.query.text", value=AnyValue(string_value="x" * 3000))
    spans = [
        Span(
            trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"), name="query", attributes=[statement]
        )
        for number in range(1, SPANS + 1)
    ]
    request = ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])])
    return request.SerializeToString()


@pytest.mark.parametrize("is_durable", [False, True], ids=["queue in memory", "queue on a volume"])
async def test_a_request_above_jaegers_limit_arrives_whole_in_parts_below_it(
    tmp_path: Path, *, is_durable: bool
) -> None:
    queue: dict[str, Any] = {"collector": {"durable_queue": {"directory": str(tmp_path / "queue")}}}
    async with otlp_backend() as backend:
        choice = PluginChoice(type="jaeger", config={"endpoint": backend.grpc_address} | (queue if is_durable else {}))
        plugin = PluginRegistry().create(PluginKind.TELEMETRY_BACKEND, choice)
        config = plugin.get_helm_values(sample_artifacts(), "production")["config"]
        with collector([chart_defaults(), config], tmp_path, {}) as running_collector:
            async with httpx.AsyncClient(trust_env=False) as client:
                answer = await client.post(
                    f"{running_collector.http_url}/v1/traces",
                    content=large_request(),
                    headers={"content-type": "application/x-protobuf"},
                )
            assert answer.status_code == 200
            async with asyncio.timeout(20):
                while len(span_ids(backend)) < SPANS:  # noqa: ASYNC110 - the backend tells of signals, not of spans
                    await asyncio.sleep(0.02)

    assert max(export.request.ByteSize() for export in backend.exports) < GRPC_SERVERS_DEFAULT_LIMIT_BYTES


def span_ids(backend: OtlpBackend) -> set[bytes]:
    requests = [export.request for export in backend.exports]
    return {
        span.span_id
        for request in requests
        if isinstance(request, ExportTraceServiceRequest)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
