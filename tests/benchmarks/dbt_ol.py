"""A real `dbt-ol run` of three models, direct and through the sidecar, before healthy and dead backends.

Direct runs against a dead backend take minutes, so they are made once; all other figures are medians of paired rounds.
"""

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

from tests.benchmarks.report import Table, spread

PROJECT = Path(__file__).parents[2] / "examples" / "dbt_project"
ROUNDS = 9
_READY_SECONDS = 20.0


class _Healthy(BaseHTTPRequestHandler):
    """Answers 201 at once, as Marquez does, and counts."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Takes an event."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.received += 1  # type: ignore[attr-defined]  # set by `healthy_backend`

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
        """Says nothing."""


@contextmanager
def healthy_backend() -> Iterator[tuple[str, ThreadingHTTPServer]]:
    """A backend that takes everything; yields its origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Healthy)
    server.received = 0  # type: ignore[attr-defined]  # read by `_Healthy`
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def black_hole() -> Iterator[str]:
    """Accepts connections and never answers; yields its origin."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def refused_origin() -> str:
    """An origin where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def sidecar_to(backend: str, folder: Path) -> Iterator[str]:
    """A sidecar that delivers to a backend; yields the origin that the application posts to."""
    port, health = (int(refused_origin().rsplit(":", 1)[1]) for _ in range(2))
    environment = _environment() | {
        "FLOE_SIDECAR_PORT": str(port),
        "FLOE_SIDECAR_HEALTH_PORT": str(health),
        "FLOE_SIDECAR_SPOOL_DIRECTORY": str(folder / f"spool-{port}"),
        "FLOE_SIDECAR_LINEAGE_URL": backend,
        "FLOE_SIDECAR_SHUTDOWN_SECONDS": "1",
    }
    command = [sys.executable, "-m", "floe_sidecar"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_ready(f"http://127.0.0.1:{health}/readyz")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def dbt_seconds(origin: str, folder: Path) -> float:
    """Wall seconds of one `dbt-ol run` that must succeed."""
    environment = _environment() | {
        "OPENLINEAGE_URL": origin,
        "OPENLINEAGE_NAMESPACE": "bench",
        "FLOE_DEMO_DUCKDB": str(folder / "bench.duckdb"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    command = [str(Path(sys.executable).parent / "dbt-ol"), "run", "--profiles-dir", "."]
    started = time.perf_counter()
    subprocess.run(command, cwd=folder / "project", env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def measure(quick: bool) -> Sequence[Table]:
    """Paired rounds over the living combinations, one run of each dead direct one."""
    rounds = 1 if quick else ROUNDS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="floe-bench-")))
        shutil.copytree(PROJECT, folder / "project")
        _seed(folder)
        healthy, server = stack.enter_context(healthy_backend())
        hole = stack.enter_context(black_hole())
        refused = refused_origin()
        origins = {
            "direct, healthy": healthy,
            "sidecar, healthy": stack.enter_context(sidecar_to(healthy, folder)),
            "sidecar, refused": stack.enter_context(sidecar_to(refused, folder)),
            "sidecar, black hole": stack.enter_context(sidecar_to(hole, folder)),
        }
        dbt_seconds(healthy, folder)
        seconds: dict[str, list[float]] = {name: [] for name in origins}
        for _ in range(rounds):
            for name, origin in origins.items():
                seconds[name].append(dbt_seconds(origin, folder))
        rows = [_row(name, values, seconds["direct, healthy"]) for name, values in seconds.items()]
        if not quick:
            for name, origin in (("direct, refused", refused), ("direct, black hole", hole)):
                rows.append(_row(name, [dbt_seconds(origin, folder)], seconds["direct, healthy"]))
        received = server.received  # type: ignore[attr-defined]  # set by `healthy_backend`
    return [
        Table(
            "dbt-ol run, three models",
            ("backend", "runs", "seconds, median (min to max)", "ratio to the healthy direct run, median of pairs"),
            tuple(rows),
            (
                (
                    f"The healthy backend received {received} events. "
                    "A direct run against a dead backend loses all of its events."
                ),
            ),
        )
    ]


def _row(name: str, values: list[float], base: list[float]) -> tuple[str, ...]:
    ratios = [value / reference for value, reference in zip(values, base, strict=False)]
    return (name, str(len(values)), spread(values), f"{statistics.median(ratios):.3f}")


def _seed(folder: Path) -> None:
    environment = _environment() | {
        "FLOE_DEMO_DUCKDB": str(folder / "bench.duckdb"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    command = [str(Path(sys.executable).parent / "dbt"), "seed", "--profiles-dir", "."]
    subprocess.run(command, cwd=folder / "project", env=environment, check=True, capture_output=True)


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("OPENLINEAGE", "FLOE_", "OTEL_"))}
    return own | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{own.get('PATH', '')}"}


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(url, timeout=1) as answer:  # noqa: S310 - our own http address
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.02)
    raise TimeoutError(f"{url} did not answer")


if __name__ == "__main__":
    for table in measure(quick=True):
        print(table.markdown())  # noqa: T201 - what was asked for
