"""The sidecar beside an OpenTelemetry Collector that keeps what it takes: in turns, on one disk, the backend dead.

The Collector is the durable one: `sending_queue.storage: file_storage` with `fsync: true`, nothing before the queue
that could be lost (collector#12711), retries without end. It takes each event as the body of a log record.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.benchmarks.load import EVENT_BYTES, Seen, send
from tests.benchmarks.report import Table, fdatasync_rate, spread
from tests.benchmarks.sidecar import sidecar
from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.processes import free_port

CONNECTIONS = 16
_READY_SECONDS = 30.0
_QUEUE_EVENTS = 10_000_000


@dataclass(frozen=True, slots=True)
class Peer:
    """A running Collector."""

    process: subprocess.Popen[bytes]
    port: int

    def rss_mib(self) -> float:
        """Resident set size in MiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@contextmanager
def durable_collector(folder: Path) -> Iterator[Peer]:
    """A Collector that is healthy, and keeps what it takes in the folder."""
    port, health, dead = free_port(), free_port(), free_port()
    config = folder / "collector.yaml"
    config.write_text(json.dumps(_config(folder, port, health, dead)))  # JSON is YAML
    with (folder / "collector.log").open("wb") as log:
        process = subprocess.Popen([program("otelcol"), "--config", config], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + _READY_SECONDS
            while not _answers(health):
                assert process.poll() is None, (folder / "collector.log").read_text()
                assert time.monotonic() < deadline, "the Collector is not healthy"
                time.sleep(0.05)
            yield Peer(process, port)
        finally:
            process.kill()
            process.wait()


def _config(folder: Path, port: int, health: int, dead: int) -> dict[str, object]:
    queue = {"enabled": True, "storage": "file_storage", "queue_size": _QUEUE_EVENTS, "sizer": "requests"}
    return {
        "extensions": {
            "file_storage": {"directory": str(folder / "queue"), "create_directory": True, "fsync": True},
            "health_check": {"endpoint": f"127.0.0.1:{health}"},
        },
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {
            "otlp_http": {
                "endpoint": f"http://127.0.0.1:{dead}",
                "sending_queue": queue,
                "retry_on_failure": {"enabled": True, "max_elapsed_time": 0},
            }
        },
        "service": {
            "extensions": ["file_storage", "health_check"],
            "pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["otlp_http"]}},
            "telemetry": {"metrics": {"level": "none"}},
        },
    }


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=1) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def measure(quick: bool) -> Sequence[Table]:
    """Both, round by round in turns."""
    rounds, seconds = (1, 2.0) if quick else (5, 4.0)
    program("otelcol")  # built now if it never was, and not while something is measured
    ours: list[tuple[Seen, float, float]] = []
    theirs: list[tuple[Seen, float, float]] = []
    disk: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder, sidecar(Path(folder)) as relay:
            disk.append(fdatasync_rate(Path(folder)))
            idle = relay.memory_mib()[0]
            ours.append((send(relay.port, connections=CONNECTIONS, seconds=seconds), idle, relay.memory_mib()[0]))
        with tempfile.TemporaryDirectory() as folder, durable_collector(Path(folder)) as peer:
            idle = peer.rss_mib()
            seen = send(peer.port, connections=CONNECTIONS, seconds=seconds, otlp=True)
            theirs.append((seen, idle, peer.rss_mib()))
    ratio = statistics.median(one[0].per_second for one in ours) / statistics.median(
        one[0].per_second for one in theirs
    )
    return [
        Table(
            "The sidecar beside a durable Collector",
            ("what", "events/s acked", "ack p50 ms", "ack p99 ms", "RSS idle MiB", "RSS under load MiB"),
            (_row("sidecar", ours), _row("Collector, file_storage, fsync: true", theirs)),
            (
                f"{EVENT_BYTES} bytes each, {CONNECTIONS} connections, backend dead; {rounds} rounds of {seconds:g} s.",
                f"The sidecar takes {ratio:.1f} times as many; budget: 4 times, and a p99 not above the Collector's.",
                f"The same disk, between the rounds: {spread(disk)} fdatasync of 5 KB a second.",
            ),
        )
    ]


def _row(name: str, rounds: Sequence[tuple[Seen, float, float]]) -> tuple[str, ...]:
    seen = [one for one, _, _ in rounds]
    assert not any(one.failed for one in seen), f"{name} refused events"
    return (
        name,
        spread([one.per_second for one in seen]),
        spread([one.p50_ms for one in seen]),
        spread([one.p99_ms for one in seen]),
        spread([idle for _, idle, _ in rounds]),
        spread([loaded for _, _, loaded in rounds]),
    )


if __name__ == "__main__":
    for table in measure("--quick" in sys.argv):
        sys.stdout.write(table.markdown() + "\n")
