"""A span for each admission, for those who ask for them; it names no value of a pod."""

import json

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from floe_webhook.tracing import Traces
from webhook.tests.builders import container, pod
from webhook.tests.reviews import UID, admission_review
from webhook.tests.serving.conftest import Serving

pytestmark = pytest.mark.requirement("HOUSE-12", "HOUSE-7")


@pytest.fixture
def spans(serving: Serving) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    serving.webhook.traces = Traces(provider.get_tracer("tests"))
    return exporter


async def test_an_admission_is_a_span_of_the_api_servers_trace(serving: Serving, spans: InMemorySpanExporter) -> None:
    document = pod(container(variables={"PASSWORD": "hunter2"}), annotations={"floe.dev/environment-only": "true"})
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    review = admission_review(document, dryRun=True)
    await serving.client.post("/mutate", json=review, headers={"traceparent": parent})
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind) == ("admission", SpanKind.SERVER)
    assert span.attributes == {
        "floe.outcome": "environment_only",
        "floe.reasons": ("environment_only_asked",),
        "floe.dry_run": True,
        "k8s.namespace.name": "sales",
    }
    assert span.parent is not None
    assert f"{span.context.trace_id:032x}-{span.parent.span_id:016x}" == parent[3:-3]
    assert span.start_time is not None
    assert span.end_time is not None
    assert 0 < span.end_time - span.start_time < 30e9
    assert "hunter2" not in span.to_json()


async def test_what_is_not_decided_upon_is_a_span_with_an_error(serving: Serving, spans: InMemorySpanExporter) -> None:
    body = json.dumps({"request": {"uid": UID}, "kind": "hunter2"})
    await serving.client.post("/mutate", content=body, headers={"Content-Type": "application/json"})
    (span,) = spans.get_finished_spans()
    assert span.attributes == {"floe.problem": "not_a_review"}
    assert span.status.status_code is StatusCode.ERROR
    assert "hunter2" not in span.to_json()
