"""The real openlineage-python client, told by the environment that a pod gets, with the backend up, away and back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from floe_sidecar import tokens
from sidecar.tests.builders import PATIENCE_SECONDS, RelayProcess, relay_process
from sidecar.tests.gateways import KEY, gateway_process
from sidecar.tests.standins import BackendStandIn, backend_in_thread

pytestmark = pytest.mark.requirement("REQ-520", "REQ-521", "RELAY-11")

UID = "6f1d4a52-3c1b-4a57-9c0a-5d7a1c0f9d10"
PROGRAM = textwrap.dedent(
    """
    import sys, time
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
    from openlineage.client.uuid import generate_new_uuid

    client = OpenLineageClient()
    started = time.perf_counter()
    for _ in range(3):
        run = Run(runId=str(generate_new_uuid()))
        for state in (RunState.START, RunState.COMPLETE):
            client.emit(RunEvent(eventType=state, eventTime="2026-11-21T10:00:00Z", run=run,
                                 job=Job(namespace="sales/orders", name="load"), producer="https://floe.example"))
    took = time.perf_counter() - started
    client.close()
    print(took)
    """
)


def emit(port: int, **variables: str) -> float:
    """Six events of three runs by a process of its own; gives the seconds that emitting took."""
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PATH": os.environ["PATH"], "OPENLINEAGE_URL": f"http://127.0.0.1:{port}", **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd="/",
    )
    return float(told.stdout)


def wait_until_empty(relay: RelayProcess) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while relay.status()["events"]["pending"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)  # asked over HTTP, there is nothing to be woken by


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OPENLINEAGE__TRANSPORT__COMPRESSION": "gzip", "OPENLINEAGE__TRANSPORT__TYPE": "http"},
        {"OPENLINEAGE__TRANSPORT__TYPE": "async_http"},
        {"OPENLINEAGE_ENDPOINT": "api/v1/lineage/api/v1/lineage"},
    ],
    ids=["sync", "sync with gzip", "async", "a doubled path"],
)
def test_the_client_is_served_at_once_and_every_run_arrives_in_order(tmp_path: Path, variables: dict[str, str]) -> None:
    backend = BackendStandIn()
    with backend_in_thread(backend), relay_process(tmp_path, LINEAGE_URL=backend.url) as relay:
        if "OPENLINEAGE__TRANSPORT__TYPE" in variables:
            variables = {**variables, "OPENLINEAGE__TRANSPORT__URL": f"http://127.0.0.1:{relay.port}"}
        emit(relay.port, **variables)
        wait_until_empty(relay)
    by_run: dict[str, list[str]] = {}
    for seen in backend.accepted:
        by_run.setdefault(seen.run, []).append(seen.kind)
    assert list(by_run.values()) == [["START", "COMPLETE"]] * 3


def test_a_dead_backend_does_not_slow_the_client_and_loses_nothing(tmp_path: Path) -> None:
    backend = BackendStandIn()
    with backend_in_thread(backend):
        pass  # only its port is wanted for now
    with relay_process(tmp_path, LINEAGE_URL=backend.url) as relay:
        # The client alone blocks for 9 s an event here.
        assert emit(relay.port) < 2.0
        counts = relay.status()["events"]
        assert (counts["acked"], counts["delivered"], counts["pending"]) == (6, 0, 6)
        with backend_in_thread(backend):
            wait_until_empty(relay)
            assert len(backend.accepted) == 6
            assert relay.status()["events"]["lost"] == 0


def test_the_relay_keeps_the_clients_bytes(tmp_path: Path) -> None:
    direct, relayed = BackendStandIn(), BackendStandIn()
    with backend_in_thread(direct), backend_in_thread(relayed):
        emit(direct.port)
        with relay_process(tmp_path, LINEAGE_URL=relayed.url) as relay:
            emit(relay.port)
            wait_until_empty(relay)
    strip = [
        [json.dumps({**seen.event, "run": {**seen.event["run"], "runId": ""}}) for seen in backend.accepted]
        for backend in (direct, relayed)
    ]
    assert sorted(strip[0]) == sorted(strip[1])  # runs go side by side: no order between them is promised


@pytest.mark.requirement("HOUSE-4", "HOUSE-7")
@pytest.mark.parametrize("way", ["variables", "transport"])
def test_a_pod_without_a_sidecar_sends_to_the_gateway_with_its_namespaces_token(tmp_path: Path, way: str) -> None:
    token = tokens.issue(KEY, "sales")
    with backend_in_thread(BackendStandIn()) as backend, gateway_process(tmp_path, LINEAGE_URL=backend.url) as gateway:
        if way == "variables":
            emit(gateway.port, OPENLINEAGE_API_KEY=token)
        else:  # as Airflow's provider is told
            auth = json.dumps({"type": "api_key", "apiKey": token})
            emit(
                gateway.port,
                OPENLINEAGE__TRANSPORT__TYPE="http",
                OPENLINEAGE__TRANSPORT__AUTH=auth,
                OPENLINEAGE__TRANSPORT__URL=f"http://127.0.0.1:{gateway.port}",
            )
        wait_until_empty(gateway)
        assert len(backend.accepted) == 6


@pytest.mark.requirement("RELAY-10")
def test_the_clients_events_get_the_pods_names_and_keep_their_own(tmp_path: Path) -> None:
    pod = {"POD_NAME": "load-x7k2p", "POD_UID": UID, "JOB_NAMESPACE": "acme/load", "JOB_NAME": "load"}
    platform = {"RUN_TAGS": "team=sales", "REPLACED_NAMESPACES": "sales%2Forders"}
    with (
        backend_in_thread(BackendStandIn()) as backend,
        relay_process(tmp_path, LINEAGE_URL=backend.url, **pod, **platform) as relay,
    ):
        emit(relay.port, OPENLINEAGE__TAGS__RUN='{"TEAM": "own"}')
        wait_until_empty(relay)
        metrics = relay.get("/metrics").decode()

    assert len(backend.accepted) == 6
    for seen in backend.accepted:
        facets = seen.event["run"]["facets"]
        assert seen.event["job"]["namespace"] == "acme/load"
        assert facets["parent"]["run"]["runId"] == UID
        assert facets["floe_pod"]["name"] == "load-x7k2p"
        keys = [tag["key"] for tag in facets["tags"]["tags"]]
        assert "openlineage_client_version" in keys
        assert [key.lower() for key in keys].count("team") == 1
    assert 'floe_pipeline_runs_total{status="complete"} 3\n' in metrics
