"""The pod's end, as the sidecar sees it: flush, say what is left, exit 0; and what a start needs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from sidecar.tests.builders import body, relay_process
from sidecar.tests.standins import BackendStandIn, Reply, backend_in_thread

pytestmark = pytest.mark.requirement("RELAY-6", "HOUSE-5")


def send(port: int, content: bytes) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/lineage", content, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
        status: int = answer.status
        return status


def goodbye(lines: list[dict[str, Any]]) -> dict[str, Any]:
    events = [line["event"] for line in lines]
    assert "ending" in events
    assert events[-1] == "ended"
    return lines[-1]


def test_on_sigterm_what_waits_is_delivered_and_the_exit_code_is_0(tmp_path: Path) -> None:
    with backend_in_thread(BackendStandIn(lambda _post: Reply(after_seconds=0.05))) as backend:
        with relay_process(tmp_path, LINEAGE_URL=backend.url, LINEAGE_CONCURRENCY="1") as relay:
            for number in range(10):
                assert send(relay.port, body(number)) == 201
            code, lines = relay.end()
        assert code == 0
        assert len(backend.accepted) == 10
        assert goodbye(lines)["unsent_events"] == 0
        assert goodbye(lines)["level"] == "info"


def test_what_cannot_be_delivered_stays_is_told_and_goes_on_in_order_after_a_restart(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with relay_process(tmp_path, LINEAGE_URL=url, SHUTDOWN_SECONDS="0.5") as relay:
        for number in range(5):
            send(relay.port, body(1, "OTHER", number))
        started = time.monotonic()
        code, lines = relay.end()
        assert time.monotonic() - started < 2
    assert code == 0
    assert (goodbye(lines)["unsent_events"], goodbye(lines)["level"]) == (5, "warning")
    assert goodbye(lines)["acked_events"] == 5
    backend = BackendStandIn()
    backend.port = port
    with backend_in_thread(backend), relay_process(tmp_path, LINEAGE_URL=url) as again:
        assert again.lines[-1]["waiting_events"] == 5
        assert again.end()[0] == 0
    assert [seen.body for seen in backend.accepted] == [body(1, "OTHER", number) for number in range(5)]


def test_a_backend_that_comes_back_within_the_time_still_gets_everything(tmp_path: Path) -> None:
    backend = BackendStandIn(lambda _post: Reply(503))
    with backend_in_thread(backend), relay_process(tmp_path, LINEAGE_URL=backend.url, SHUTDOWN_SECONDS="10") as relay:
        send(relay.port, body())
        relay.process.terminate()
        seen = len(backend.posts)
        while len(backend.posts) < seen + 2:
            threading.Event().wait(0.01)
        backend.answer = lambda _post: Reply()
        code, lines = relay.end()
        assert (code, goodbye(lines)["unsent_events"]) == (0, 0)


def test_events_are_taken_while_it_flushes(tmp_path: Path) -> None:
    backend = BackendStandIn(lambda _post: Reply(503))
    with backend_in_thread(backend), relay_process(tmp_path, LINEAGE_URL=backend.url, SHUTDOWN_SECONDS="10") as relay:
        send(relay.port, body(1))
        relay.process.terminate()
        assert send(relay.port, body(2)) == 201
        backend.answer = lambda _post: Reply()
        assert goodbye(relay.end()[1])["unsent_events"] == 0
        assert len(backend.accepted) == 2


def test_a_black_hole_does_not_hold_up_the_end(tmp_path: Path) -> None:
    backend = BackendStandIn(lambda _post: Reply(silent=True))
    with backend_in_thread(backend), relay_process(tmp_path, LINEAGE_URL=backend.url, SHUTDOWN_SECONDS="0.5") as relay:
        send(relay.port, body())
        started = time.monotonic()
        assert relay.end()[0] == 0
        assert time.monotonic() - started < 2


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "floe_sidecar"],
        env={"PATH": os.environ["PATH"], **{f"FLOE_SIDECAR_{name}": value for name, value in variables.items()}},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.requirement("CC-2.4", "CC-5.1")
def test_a_bad_value_ends_with_1_and_one_line_that_says_what_is_expected() -> None:
    told = run(SPOOL_MAX_BYTES="lots")
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        "floe_sidecar: FLOE_SIDECAR_SPOOL_MAX_BYTES holds 'lots', "
        "but expected is a number of bytes, at least 65536, such as 1048576 or 256Mi\n"
    )


@pytest.mark.requirement("FP-30")
def test_a_port_that_is_taken_ends_with_1_and_names_the_variable(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = run(PORT=str(taken.getsockname()[1]), HEALTH_PORT="0", SPOOL_DIRECTORY=str(tmp_path))
    assert told.returncode == 1
    assert "FLOE_SIDECAR_PORT" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.requirement("HOUSE-10")
def test_two_relays_never_share_a_spool(tmp_path: Path) -> None:
    with relay_process(tmp_path):
        told = run(PORT="0", HEALTH_PORT="0", SPOOL_DIRECTORY=str(tmp_path / "spool"))
    assert told.returncode == 1
    assert "FLOE_SIDECAR_SPOOL_DIRECTORY" in told.stderr


@pytest.mark.requirement("HOUSE-10")
def test_it_starts_on_defaults_alone_and_prints_events_as_lines(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "floe_sidecar"],
        env={
            "PATH": os.environ["PATH"],
            "TMPDIR": str(tmp_path),
            "FLOE_SIDECAR_PORT": "0",
            "FLOE_SIDECAR_HEALTH_PORT": "0",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    ready = json.loads(process.stderr.readline())
    assert Path(ready["spool"]).parent == tmp_path
    assert (Path(ready["spool"]) / "spool.sqlite").stat().st_mode & 0o077 == 0
    pretty = json.dumps(json.loads(body(1, "COMPLETE")), indent=2).encode()
    send(ready["port"], pretty)
    process.terminate()
    printed, _ = process.communicate(timeout=30)
    assert [json.loads(line) for line in printed.splitlines()] == [json.loads(body(1, "COMPLETE"))]
    assert process.returncode == 0
    assert not list(tmp_path.iterdir())
