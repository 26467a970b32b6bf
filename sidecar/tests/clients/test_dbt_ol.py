"""A real `dbt-ol run` over a real dbt-duckdb project, with the backend away: not slowed, not failed, nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from floe_sidecar.redaction import redact
from sidecar.tests.builders import relay_process
from sidecar.tests.clients.test_openlineage_client import wait_until_empty
from sidecar.tests.standins import BackendStandIn, backend_in_thread

pytestmark = pytest.mark.requirement("REQ-529", "RELAY-11")

PROJECT = Path(__file__).parent / "dbt_project"
MODELS = 3


def dbt_ol(folder: Path, port: int) -> None:
    """Runs the project in a copy of its own."""
    shutil.copytree(PROJECT, folder)
    told = subprocess.run(
        [str(Path(sys.executable).parent / "dbt-ol"), "run", "--profiles-dir", ".", "--project-dir", "."],
        cwd=folder,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "OPENLINEAGE_URL": f"http://127.0.0.1:{port}",
            "OPENLINEAGE_NAMESPACE": "sales/orders",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_run_before_a_dead_backend_succeeds_and_nothing_of_it_is_lost(tmp_path: Path) -> None:
    backend = BackendStandIn()
    with backend_in_thread(backend):
        pass  # only its port is wanted for now
    with relay_process(tmp_path, LINEAGE_URL=backend.url) as relay:
        # Without a relay it takes 75 s and loses all eight events; how long it takes is measured by the benchmarks.
        dbt_ol(tmp_path / "project", relay.port)
        counts = relay.status()["events"]
        assert (counts["acked"], counts["pending"], counts["lost"]) == (2 * MODELS + 2, 2 * MODELS + 2, 0)
        with backend_in_thread(backend):
            wait_until_empty(relay)
    assert Counter(seen.kind for seen in backend.accepted) == {"START": MODELS + 1, "COMPLETE": MODELS + 1}
    for run in {seen.run for seen in backend.accepted}:
        assert [seen.kind for seen in backend.accepted if seen.run == run] == ["START", "COMPLETE"]
    assert {seen.event["job"]["namespace"] for seen in backend.accepted} == {"sales/orders"}
    assert all(redact(seen.body) is seen.body for seen in backend.accepted), "a real event was changed for nothing"
    assert relay.lines[-1]["event"] == "ready"
