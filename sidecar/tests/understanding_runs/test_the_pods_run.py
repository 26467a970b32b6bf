"""The pod's own run is begun once, at a time that is told even by a sidecar that is killed, and never after its end."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from floe_sidecar.pod_run import BEGUN_AT, moment_of
from sidecar.tests.builders import (
    PATIENCE_SECONDS,
    RelayProcess,
    accepted,
    body,
    post,
    relay,
    relay_process,
    run_id,
    until,
)
from sidecar.tests.gateways import gateway, handing_over_to
from sidecar.tests.standins import BackendStandIn, backend_in_thread
from sidecar.tests.understanding_runs.events import POD, TRACEPARENT, UID, facets_of

pytestmark = pytest.mark.requirement("RELAY-10", "RELAY-7", "HOUSE-5")

RUNNING = replace(POD, pod_run=True, processing_type="SERVICE", job_tags={"team": "sales"})
VARIABLES = {
    "POD_NAME": POD.pod_name,
    "POD_UID": UID,
    "JOB_NAMESPACE": "acme/load",
    "JOB_NAME": "load",
    "POD_RUN": "true",
}


def message(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text() or "{}")
    return found


def send(relay: RelayProcess, content: bytes) -> None:
    request = urllib.request.Request(f"http://127.0.0.1:{relay.port}/api/v1/lineage", content, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
        assert answer.status == 201


def is_told(file: Path) -> bool:
    return BEGUN_AT in message(file)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen in time"
        threading.Event().wait(0.01)


def message_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "termination-log"
    file.touch()
    return file


async def test_a_sidecar_that_starts_begins_the_pods_run(tmp_path: Path) -> None:
    backend = await BackendStandIn().start()
    async with relay(tmp_path, lineage_url=backend.url, pod=RUNNING) as sidecar:
        await until(lambda: bool(backend.accepted))
        assert sidecar.metrics.accepted.total == 0
    await backend.stop()

    (start,) = [seen.event for seen in backend.accepted]
    assert (start["eventType"], start["run"]["runId"]) == ("START", UID)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", start["eventTime"])
    assert (start["job"]["namespace"], start["job"]["name"]) == ("acme/load", "load")
    assert start["job"]["facets"]["jobType"]["processingType"] == "SERVICE"
    assert start["job"]["facets"]["tags"]["tags"] == [{"key": "team", "value": "sales", "source": "FLOE"}]
    assert start["run"]["facets"].keys() == {"floe_pod"}


def test_over_kills_and_restarts_it_is_begun_once_and_always_told_with_the_same_time(tmp_path: Path) -> None:
    told = []
    with backend_in_thread(BackendStandIn()) as backend:
        for number in range(3):
            log = message_file(tmp_path / str(number))
            variables = {**VARIABLES, "TERMINATION_MESSAGE_FILE": str(log), "LINEAGE_URL": backend.url}
            with relay_process(tmp_path, **variables, DUPLICATE_WINDOW_SECONDS="0") as sidecar:
                wait_until(partial(is_told, log))
                wait_until(lambda: bool(backend.accepted))
                sidecar.kill()
            told.append(message(log))

    (start,) = backend.accepted
    assert told == [{BEGUN_AT: start.event["eventTime"]}] * 3


def test_the_end_is_told_with_the_same_time(tmp_path: Path) -> None:
    log = message_file(tmp_path)
    with backend_in_thread(BackendStandIn()) as backend:
        variables = {**VARIABLES, "TERMINATION_MESSAGE_FILE": str(log), "LINEAGE_URL": backend.url}
        with relay_process(tmp_path, **variables) as sidecar:
            wait_until(lambda: bool(backend.accepted))
            assert sidecar.end()[0] == 0

    assert message(log)[BEGUN_AT] == backend.accepted[0].event["eventTime"]
    assert message(log)["acked_events"] == 0


async def test_a_start_that_nobody_took_is_taken_back_at_the_end(tmp_path: Path) -> None:
    log = message_file(tmp_path)
    async with gateway(tmp_path, lineage_url="http://127.0.0.1:9") as behind:
        told = handing_over_to(tmp_path, behind.application.port)
        async with relay(
            tmp_path / "pod",
            pod=RUNNING,
            gateway_url=told["GATEWAY_URL"],
            gateway_token_file=Path(told["GATEWAY_TOKEN_FILE"]),
            shutdown_seconds=PATIENCE_SECONDS,
            termination_message_file=log,
        ) as sidecar:
            await accepted(sidecar, body(1))
            await until(lambda: sidecar.writer.level.events == 2)
        assert (behind.metrics.taken_over.total, behind.writer.level.events) == (1, 1)

    assert (message(log)["handed_over_events"], message(log)["unsent_events"]) == (1, 0)
    assert BEGUN_AT in message(log)


@pytest.mark.parametrize("each_its_own", [True, False])
def test_a_start_that_a_dead_pod_left_on_a_volume_is_not_sent_by_the_next(
    tmp_path: Path, *, each_its_own: bool
) -> None:
    other = "7f1d4a52-3c1b-4a57-9c0a-5d7a1c0f9d11"
    variables = {**VARIABLES, "SPOOL_PER_POD": str(each_its_own).lower()}
    with relay_process(tmp_path, **variables, LINEAGE_URL="http://127.0.0.1:9") as dead:
        send(dead, body(1))
        wait_until(lambda: b"floe_sidecar_queue_events 2\n" in dead.get("/metrics"))
        dead.kill()
    following = {**variables, "POD_UID": other}
    with (
        backend_in_thread(BackendStandIn()) as backend,
        relay_process(tmp_path, **following, LINEAGE_URL=backend.url),
    ):
        wait_until(lambda: len(backend.accepted) == 2)

    assert {seen.run for seen in backend.accepted} == {run_id(1), other}


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(POD, id="nobody would end it"),
        pytest.param(replace(RUNNING, job_name=""), id="it has no job"),
        pytest.param(replace(RUNNING, pod_uid="static-pod"), id="its id is none"),
    ],
)
async def test_no_run_is_begun_where(tmp_path: Path, pod: Any) -> None:
    log = message_file(tmp_path)
    async with relay(tmp_path, pod=pod, termination_message_file=log) as sidecar:
        await accepted(sidecar, body(1))
        assert sidecar.writer.level.events == 1

    assert BEGUN_AT not in message(log)


async def test_the_pods_run_is_not_aborted_as_an_open_run(tmp_path: Path) -> None:
    backend = await BackendStandIn().start()
    async with relay(
        tmp_path, lineage_url=backend.url, pod=RUNNING, abort_open_runs=True, shutdown_seconds=PATIENCE_SECONDS
    ) as sidecar:
        await accepted(sidecar, body(1))
        await until(lambda: len(backend.accepted) == 2)
    await backend.stop()

    assert sorted((seen.run, seen.kind) for seen in backend.accepted) == sorted(
        [(UID, "START"), (run_id(1), "START"), (run_id(1), "ABORT")]
    )


def test_a_time_is_told_in_whole_seconds_so_that_no_end_lies_before_it() -> None:
    assert moment_of(1_795_000_000.999) == "2026-11-18T11:06:40Z"


async def test_events_are_enriched_on_their_way_and_counted(tmp_path: Path) -> None:
    backend = await BackendStandIn().start()
    async with relay(tmp_path, lineage_url=backend.url, pod=POD) as sidecar:
        await accepted(sidecar, body(1))
        port = sidecar.application.port
        batch = b"[%b,%b]" % (body(2), body(3))
        assert (await post(port, batch, "/api/v1/lineage/batch", traceparent=TRACEPARENT)).status == 200
        await until(lambda: len(backend.accepted) == 3)
        assert sidecar.metrics.enriched.total == 3
    await backend.stop()

    found = [facets_of(seen.body) for seen in backend.accepted]
    assert [facets["parent"]["run"]["runId"] for facets in found] == [UID] * 3
    assert sum("floe_traceContext" in facets for facets in found) == 2


async def test_a_gateway_adds_nothing_to_what_pods_send(tmp_path: Path) -> None:
    async with gateway(tmp_path, pod=RUNNING) as behind:
        assert behind.writer.level.events == 0
        assert behind.metrics.enriched.total == 0


async def test_what_is_delivered_of_open_runs_has_the_namespace_that_was_put_in(tmp_path: Path) -> None:
    backend = await BackendStandIn().start()
    async with relay(
        tmp_path, lineage_url=backend.url, pod=POD, abort_open_runs=True, shutdown_seconds=PATIENCE_SECONDS
    ) as sidecar:
        await accepted(sidecar, body(1, job={"namespace": "default", "name": "j"}))
    await backend.stop()

    assert [(seen.kind, seen.event["job"]["namespace"]) for seen in backend.accepted] == [
        ("START", "acme/load"),
        ("ABORT", "acme/load"),
    ]


def test_a_restarted_sidecar_remembers_which_runs_are_this_pods(tmp_path: Path) -> None:
    job = {"namespace": "default", "name": "j"}
    kin = {"run": {"runId": run_id(1)}, "job": job}
    child = body(2, job=job, run={"runId": run_id(2), "facets": {"parent": kin}})
    with backend_in_thread(BackendStandIn()) as backend:
        variables = {**VARIABLES, "REPLACED_NAMESPACES": "default", "LINEAGE_URL": backend.url, "POD_RUN": "false"}
        with relay_process(tmp_path, **variables, ABORT_OPEN_RUNS="true") as sidecar:
            send(sidecar, body(1, job=job))
            sidecar.kill()
        with relay_process(tmp_path, **variables) as sidecar:
            send(sidecar, child)
            wait_until(lambda: run_id(2) in {seen.run for seen in backend.accepted})

    (told,) = (seen for seen in backend.accepted if seen.run == run_id(2))
    assert facets_of(told.body)["parent"]["job"] == {"namespace": "acme/load", "name": "j"}
