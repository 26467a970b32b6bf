"""A sidecar of a few seconds and a real Collector: what the pipeline did is there when the sidecar has ended."""

import asyncio
import json
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from sidecar.tests.builders import body, post, relay_process
from tests.e2e.cluster.collector import chart_defaults, collector
from tests.e2e.cluster.otlp_backend import otlp_backend

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-12")]


async def test_the_runs_of_a_pod_that_nobody_scrapes_are_seen_behind_a_real_collector(tmp_path: Path) -> None:
    async with otlp_backend() as backend:
        pipeline = {"receivers": ["otlp"], "exporters": ["otlp_http"]}
        config = {
            "exporters": {"otlp_http": {"endpoint": backend.http_url}},
            "service": {"pipelines": dict.fromkeys(("traces", "metrics", "logs"), pipeline)},
        }
        with collector([chart_defaults(), config], tmp_path, {}) as running_collector:
            settings = {"METRICS_URL": running_collector.http_url, "JOB_NAME": "load", "POD_NAME": "load-x7k2p"}
            with relay_process(tmp_path, **settings) as sidecar:
                for kind, second in (("START", 0), ("COMPLETE", 5)):
                    event = body(1, kind, eventTime=f"2026-11-21T10:00:0{second}Z")
                    assert (await post(sidecar.port, event)).status == 201
                code, _ = await asyncio.to_thread(sidecar.end)
            assert code == 0
            exported = (await backend.received("metrics"))["metrics"].request

    assert isinstance(exported, ExportMetricsServiceRequest)
    (resource,) = exported.resource_metrics
    attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert (attributes["service.name"], attributes["k8s.pod.name"]) == ("load", "load-x7k2p")
    metrics = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    runs = {
        point.attributes[0].value.string_value: point.as_int
        for point in metrics["floe_pipeline_runs_total"].sum.data_points
    }
    assert runs == {"complete": 1, "fail": 0, "abort": 0}
    durations = metrics["floe_pipeline_duration_seconds"].histogram.data_points
    assert [point.sum for point in durations if point.count] == [5.0], json.dumps(attributes)
