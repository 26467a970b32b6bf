"""The metrics of a pod that nobody scrapes reach a collector before the pod's end, as OTLP understands them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric

from floe_sidecar.metrics import Metrics
from floe_sidecar.metrics_export import request_of, resource_of
from floe_sidecar.pipeline import Pipeline
from sidecar.tests.builders import PATIENCE_SECONDS, accepted, body, relay, until
from sidecar.tests.standins import BackendStandIn, Post, Reply
from sidecar.tests.understanding_runs.events import POD

pytestmark = pytest.mark.requirement("HOUSE-12", "CC-1.4")


def taken(_post: Post) -> Reply:
    return Reply(200)


def exported(content: bytes) -> tuple[dict[str, str], dict[str, Metric]]:
    """The resource and the metrics of a request, read by OTLP's own definition."""
    (resource,) = Parse(content, ExportMetricsServiceRequest()).resource_metrics
    attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
    return attributes, {metric.name: metric for metric in resource.scope_metrics[0].metrics}


def runs(content: bytes) -> dict[str, int]:
    """Runs by status."""
    points = exported(content)[1]["floe_pipeline_runs_total"].sum.data_points
    return {point.attributes[0].value.string_value: point.as_int for point in points}


def test_a_request_is_what_otlp_defines() -> None:
    pipeline, metrics = Pipeline(), Metrics()
    metrics.more = pipeline.metrics
    pipeline.saw(body(1, "START", eventTime="2026-11-21T10:00:00Z"))
    pipeline.saw(body(1, "COMPLETE", eventTime="2026-11-21T10:00:30Z"))
    metrics.accepted.add(2)

    content = request_of(metrics.all(), resource_of(POD), began_at=1.5, now=2.0)

    attributes, found = exported(content)
    assert attributes["service.name"] == "load"
    assert attributes["k8s.pod.name"] == POD.pod_name
    assert runs(content) == {"complete": 1, "fail": 0, "abort": 0}
    accepted_events = found["floe_sidecar_events_accepted_total"].sum
    assert accepted_events.is_monotonic
    assert accepted_events.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = accepted_events.data_points
    assert (point.as_int, point.start_time_unix_nano, point.time_unix_nano) == (2, 1_500_000_000, 2_000_000_000)
    durations = found["floe_pipeline_duration_seconds"].histogram.data_points
    assert len(durations) == 3
    (complete,) = [one for one in durations if one.count]
    assert (complete.attributes[0].value.string_value, complete.sum) == ("complete", 30.0)
    assert len(complete.bucket_counts) == len(complete.explicit_bounds) + 1
    assert dict(zip(complete.explicit_bounds, complete.bucket_counts, strict=False))[60.0] == 1


async def test_the_last_run_is_told_before_the_pod_has_ended(tmp_path: Path) -> None:
    collector = await BackendStandIn(taken).start()
    backend = await BackendStandIn().start()
    async with relay(
        tmp_path,
        lineage_url=backend.url,
        metrics_url=collector.url,
        abort_open_runs=True,
        shutdown_seconds=PATIENCE_SECONDS,
        pod=POD,
    ) as sidecar:
        await accepted(sidecar, body(1))
    await backend.stop()
    await collector.stop()

    (post,) = collector.posts
    assert (post.path, post.headers["content-type"]) == ("/v1/metrics", "application/json")
    assert runs(post.body)["abort"] == 1


async def test_they_are_told_again_and_again(tmp_path: Path) -> None:
    collector = await BackendStandIn(taken).start()
    async with relay(tmp_path, metrics_url=collector.url, metrics_interval_seconds=0.05):
        await until(lambda: len(collector.posts) >= 3)
    await collector.stop()


@pytest.mark.parametrize("answer", [Reply(silent=True), Reply(503), Reply(cut=True)])
async def test_a_collector_that_takes_nothing_holds_up_no_end(tmp_path: Path, answer: Reply) -> None:
    collector = await BackendStandIn(lambda _post: answer).start()
    async with relay(tmp_path, metrics_url=collector.url) as sidecar:
        started = time.monotonic()
    assert time.monotonic() - started < PATIENCE_SECONDS / 2
    await collector.stop()

    assert sidecar.metrics.exports_failed.total == 1
