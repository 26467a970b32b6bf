"""What the end-to-end tests stand on: the Collector, the backend that stands in, the API server, and that all stop."""

import asyncio
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.e2e import otlp_client
from tests.e2e.cluster.certificates import Authority
from tests.e2e.cluster.collector import CollectorConfigError, chart_defaults, collector, validate
from tests.e2e.cluster.control_plane import KUBECONFIG_VARIABLE, control_plane
from tests.e2e.cluster.otlp_backend import OtlpBackend, otlp_backend, temporalities
from tests.e2e.cluster.processes import ProcessError, accepts_connections, free_port, running

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("CC-6.1")]


def _exporting_to(backend: OtlpBackend, exporter: str, *, insecure: bool = True) -> dict[str, object]:
    exporters = {
        "otlp_grpc": {
            "endpoint": backend.grpc_address,
            "tls": {"insecure": insecure},
            "headers": {"x-key": "${env:KEY}"},
        },
        "otlp_http": {"endpoint": f"{backend.http_url}/otlp", "headers": {"x-key": "${env:KEY}"}},
    }
    pipelines = {signal: {"exporters": [exporter]} for signal in ("traces", "metrics", "logs")}
    return {"exporters": {exporter: exporters[exporter]}, "service": {"pipelines": pipelines}}


@pytest.mark.parametrize(
    ("exporter", "paths"),
    [
        ("otlp_http", {"/otlp/v1/traces", "/otlp/v1/metrics", "/otlp/v1/logs"}),
        (
            "otlp_grpc",
            {
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
                "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            },
        ),
    ],
)
async def test_a_real_collector_hands_on_what_an_sdk_sends_and_the_backend_sees_how(
    exporter: str, paths: set[str], tmp_path: Path
) -> None:
    async with otlp_backend() as backend:
        configs = [chart_defaults(), _exporting_to(backend, exporter)]
        with collector(configs, tmp_path, {"KEY": "one"}) as running_collector:
            await asyncio.to_thread(otlp_client.send_all_signals, running_collector.http_url)
            exports = await backend.received("traces", "metrics", "logs")

    assert {export.path for export in exports.values()} == paths
    assert {export.compression for export in exports.values()} == {"gzip"}
    assert {export.headers["x-key"] for export in exports.values()} == {"one"}
    assert temporalities(exports["metrics"]) == {"cumulative"}
    assert otlp_client.SPAN_NAME in str(exports["traces"].request)
    assert otlp_client.LOG_BODY in str(exports["logs"].request)


@pytest.mark.parametrize("exporter", ["otlp_http", "otlp_grpc"])
async def test_the_backend_serves_tls_to_a_collector_that_trusts_its_authority(exporter: str, tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    serving = authority.server("backend", addresses=["127.0.0.1"])
    environment = {"KEY": "one", "SSL_CERT_FILE": str(authority.certificate_file)}

    async with otlp_backend(serving) as backend:
        configs = [chart_defaults(), _exporting_to(backend, exporter, insecure=False)]
        with collector(configs, tmp_path, environment) as running_collector:
            await asyncio.to_thread(otlp_client.send_all_signals, running_collector.http_url)
            exports = await backend.received("traces", "metrics", "logs")

    assert backend.http_url.startswith("https://")
    assert len(exports) == 3


def test_the_collector_refuses_an_exporter_that_it_does_not_know(tmp_path: Path) -> None:
    # The seeds name the `jaeger` exporter, which the Collector dropped in 0.86.
    unknown = {"exporters": {"jaeger": {"endpoint": "jaeger:14250"}}}

    with pytest.raises(CollectorConfigError, match='unknown type: "jaeger"'):
        validate([chart_defaults(), unknown], tmp_path, {})


def test_a_program_that_cannot_start_is_told_with_its_own_last_lines(tmp_path: Path) -> None:
    port = free_port()
    command = ["sh", "-c", "echo no such store >&2; exit 3"]

    with (
        running("store", command, log=tmp_path / "log") as process,
        pytest.raises(ProcessError, match=r"store ended with 3 before it was ready; its log ends:\nno such store"),
    ):
        process.wait_until(lambda: accepts_connections(port), "ready")


@pytest.mark.skipif(KUBECONFIG_VARIABLE in os.environ, reason="an existing cluster is used: no control plane is built")
def test_nothing_of_a_control_plane_stays_after_a_test_that_failed(tmp_path: Path) -> None:
    ports: list[int] = []

    def failing_test() -> None:
        with control_plane(tmp_path) as cluster, cluster.client() as client:
            ports.extend(_ports_of(tmp_path))
            assert client.server_version() == "v0.0.0"

    with pytest.raises(AssertionError, match=r"v1\.36\."):
        failing_test()

    assert len(ports) == 3
    assert not any(accepts_connections(port) for port in ports)


def _ports_of(folder: Path) -> list[int]:
    """The ports on which processes listen that were started with this folder in their arguments."""
    return sorted(
        {
            connection.laddr.port
            for process in psutil.process_iter()
            if any(str(folder) in argument for argument in process.cmdline())
            for connection in process.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
    )


def test_a_run_that_is_killed_takes_its_programs_with_it(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    run = (
        "import pathlib, sys, time\n"
        "from tests.e2e.cluster.processes import running\n"
        f"with running('sleep', ['sleep', '600'], log=pathlib.Path({str(tmp_path / 'log')!r})) as process:\n"
        f"    pathlib.Path({str(started)!r}).write_text(f'{{process.pid}}\\n')\n"
        "    time.sleep(600)\n"
    )

    with running("run", [sys.executable, "-c", run], log=tmp_path / "run.log") as process:
        process.wait_until(lambda: started.exists() and started.read_text().endswith("\n"), "running")
        sleeping = psutil.Process(int(started.read_text()))
        process.popen.kill()

        process.popen.wait(10.0)

    assert _ends(sleeping, timeout_seconds=10.0)


def _ends(process: psutil.Process, timeout_seconds: float) -> bool:
    """Whether it ends in time; one that only waits for its parent to take note has ended."""
    deadline = time.monotonic() + timeout_seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
