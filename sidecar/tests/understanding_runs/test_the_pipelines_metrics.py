"""What is counted of the pipeline that the relay has seen: a run once, by how it ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_sidecar.pipeline import Pipeline
from floe_sidecar.runs import OpenRun
from sidecar.tests.builders import PATIENCE_SECONDS, accepted, body, get, post, relay, run_id
from sidecar.tests.gateways import gateway
from sidecar.tests.standins import BackendStandIn
from sidecar.tests.understanding_runs.events import events

pytestmark = pytest.mark.requirement("HOUSE-12", "CC-1.4")


def samples(pipeline: Pipeline) -> dict[str, float]:
    """What is not 0, by the sample's name without its prefix."""
    lines = [line for metric in pipeline.metrics for line in metric.lines()]
    found = {name.removeprefix("floe_pipeline_"): float(value) for name, value in (one.rsplit(" ", 1) for one in lines)}
    return {name: value for name, value in found.items() if value and "_bucket" not in name}


def at(seconds: int, of_run: int = 1, kind: str = "START", **changes: Any) -> bytes:
    return body(of_run, kind, eventTime=f"2026-11-21T10:00:{seconds:02d}Z", **changes)


@pytest.mark.parametrize("end", ["COMPLETE", "FAIL", "ABORT"])
def test_a_run_counts_once_by_its_end_with_its_duration(end: str) -> None:
    pipeline = Pipeline()
    for event in (at(1), at(2, kind="RUNNING"), at(31, kind=end), at(31, kind=end), at(40, kind="COMPLETE"), at(1)):
        pipeline.saw(event)

    status = f'{{status="{end.lower()}"}}'
    assert samples(pipeline) == {
        f"runs_total{status}": 1,
        f"duration_seconds_sum{status}": 30,
        f"duration_seconds_count{status}": 1,
    }


def test_an_end_without_a_start_has_no_duration() -> None:
    pipeline = Pipeline()
    pipeline.saw(at(5, kind="COMPLETE"))

    assert samples(pipeline) == {'runs_total{status="complete"}': 1}


def test_rows_bytes_and_tests_are_those_that_the_end_tells() -> None:
    statistics = {"outputFacets": {"outputStatistics": {"rowCount": 7, "size": 1000}}}
    assertions = {"dataQualityAssertions": {"assertions": [{"success": True}, {"success": False}, {"success": True}]}}
    tests = {"test": {"tests": [{"status": "pass"}, {"status": "skip"}, {"status": "odd"}]}}
    told: dict[str, Any] = {
        "outputs": [statistics, {**statistics, "name": "b"}, {"outputFacets": None}],
        "inputs": [{"inputFacets": assertions}, {"facets": {}}],
        "run": {"runId": run_id(1), "facets": tests},
    }
    pipeline = Pipeline()
    for event in (at(1, **told), at(2, kind="COMPLETE", **told)):
        pipeline.saw(event)

    found = samples(pipeline)
    assert (found["output_rows_total"], found["output_bytes_total"]) == (14, 2000)
    assert {name: value for name, value in found.items() if name.startswith("tests")} == {
        'tests_total{status="passed"}': 3,
        'tests_total{status="failed"}': 1,
        'tests_total{status="skipped"}': 1,
        'tests_total{status="other"}': 1,
    }


def test_a_run_that_the_relay_ends_itself_counts_too_and_once() -> None:
    pipeline = Pipeline()
    pipeline.saw(at(1))
    run = OpenRun(run_id(1), run_id(1), "sales", "load", 0.0, 1_795_255_261.0)
    pipeline.closed([run, run])

    assert samples(pipeline)['runs_total{status="abort"}'] == 1


@settings(max_examples=25)
@given(events)
def test_no_event_whatever_is_too_odd(document: dict[str, Any]) -> None:
    pipeline = Pipeline()
    pipeline.saw(json.dumps(document).encode())

    assert sum(pipeline.runs.values.values()) <= 1


@given(st.binary(max_size=64))
def test_no_bytes_whatever_are_counted(content: bytes) -> None:
    pipeline = Pipeline()
    pipeline.saw(content)

    assert samples(pipeline) == {}


def test_what_is_remembered_of_runs_is_bounded() -> None:
    pipeline = Pipeline()
    for number in range(3000):
        pipeline.saw(at(1, number))
    pipeline.saw(at(2, 1, "COMPLETE"))
    pipeline.saw(at(2, 2999, "COMPLETE"))

    assert samples(pipeline)['duration_seconds_count{status="complete"}'] == 1
    assert samples(pipeline)['runs_total{status="complete"}'] == 2


async def test_only_what_is_durable_counts_also_of_a_batch_and_of_runs_that_are_closed(tmp_path: Path) -> None:
    backend = await BackendStandIn().start()
    async with relay(
        tmp_path, lineage_url=backend.url, abort_open_runs=True, shutdown_seconds=PATIENCE_SECONDS
    ) as sidecar:
        await accepted(sidecar, at(1))
        await post(sidecar.application.port, b"[%b,%b]" % (at(4, kind="FAIL"), at(1, 2)), "/api/v1/lineage/batch")
        await post(sidecar.application.port, b"{")
        text = (await get(sidecar.health.port, "/metrics")).body.decode()
    await backend.stop()

    assert 'floe_pipeline_runs_total{status="fail"} 1\n' in text
    assert 'floe_pipeline_runs_total{status="abort"} 0\n' in text
    assert 'floe_pipeline_duration_seconds_bucket{status="fail",le="5.0"} 1\n' in text
    closing = "\n".join(line for metric in sidecar.metrics.more for line in metric.lines())
    assert 'floe_pipeline_runs_total{status="abort"} 1' in closing


async def test_a_gateway_has_seen_no_pipeline(tmp_path: Path) -> None:
    async with gateway(tmp_path) as behind:
        assert "floe_pipeline" not in (await get(behind.health.port, "/metrics")).body.decode()
