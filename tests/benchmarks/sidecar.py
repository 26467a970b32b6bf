"""The sidecar alone: memory, time to be ready, and events made durable a second, beside the disk's own limit."""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from tests.benchmarks.load import EVENT_BYTES, send
from tests.benchmarks.report import Table, fdatasync_rate, spread

CONNECTIONS = (1, 16, 64)
RATE = 1000
_READY_SECONDS = 20.0
_SPOOL_BYTES = "2Gi"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A running sidecar."""

    process: subprocess.Popen[bytes]
    port: int
    health_port: int
    ready_ms: float

    def memory_mib(self) -> tuple[float, float]:
        """Resident and proportional set size in MiB."""
        text = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        sizes = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines()[1:]}
        return sizes["Rss"] / 1024, sizes["Pss"] / 1024

    def commits(self) -> tuple[int, float]:
        """Group commits until now and the seconds that they took."""
        with urlopen(f"http://127.0.0.1:{self.health_port}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        samples = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return int(samples["floe_sidecar_commit_seconds_count"]), float(samples["floe_sidecar_commit_seconds_sum"])


@contextmanager
def sidecar(folder: Path, **settings: str) -> Iterator[Sidecar]:
    """A sidecar as a pod would run it, before a dead backend unless told otherwise; yields it when it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
    environment = {
        "PATH": os.environ["PATH"],
        "FLOE_SIDECAR_PORT": "0",
        "FLOE_SIDECAR_HEALTH_PORT": "0",
        "FLOE_SIDECAR_SPOOL_DIRECTORY": str(folder / "spool"),
        "FLOE_SIDECAR_SPOOL_MAX_BYTES": _SPOOL_BYTES,
        "FLOE_SIDECAR_SHUTDOWN_SECONDS": "0.2",
        "FLOE_SIDECAR_LINEAGE_URL": dead,
    }
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "floe_sidecar"], env=environment | settings, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        line = json.loads(process.stderr.readline())
        ready_ms = (time.perf_counter() - started) * 1000
        log = (folder / "sidecar.log").open("wb")
        with log:
            drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=log)  # noqa: S607 - coreutils
            yield Sidecar(process, line["port"], line["health_port"], ready_ms)
            process.terminate()
            process.wait(timeout=_READY_SECONDS)
            drain.wait(timeout=_READY_SECONDS)
    finally:
        process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()


def measure(quick: bool) -> Sequence[Table]:
    """Memory and ingest as tables."""
    return [_footprint(quick=quick), _ingest(quick=quick)]


def _footprint(*, quick: bool) -> Table:
    ready, idle = [], []
    for _ in range(3 if quick else 9):
        with tempfile.TemporaryDirectory() as folder, sidecar(Path(folder)) as relay:
            ready.append(relay.ready_ms)
            time.sleep(0.2)
            idle.append(relay.memory_mib())
    seconds = 3 if quick else 60
    with tempfile.TemporaryDirectory() as folder, sidecar(Path(folder)) as relay:
        loaded, senders = [], []
        for _ in range(3):
            senders.append(send(relay.port, connections=16, seconds=seconds / 3, rate=RATE))
            loaded.append(relay.memory_mib())
        seen = senders[-1]
    return Table(
        "The sidecar's footprint",
        ("what", "RSS MiB", "PSS MiB", "budget"),
        (
            ("idle", spread([rss for rss, _ in idle]), spread([pss for _, pss in idle]), "RSS ≤ 30"),
            (
                f"at {seen.per_second:.0f} events/s of 5 KB for {seconds} s, backend dead, after each third",
                " → ".join(f"{rss:.1f}" for rss, _ in loaded),
                " → ".join(f"{pss:.1f}" for _, pss in loaded),
                "RSS ≤ 40, flat",
            ),
        ),
        (
            f"Ready {spread(ready)} ms after {len(ready)} starts; budget 400 ms.",
            f"At that rate an acknowledgement took {seen.p50_ms:.2f} ms (p50) and {seen.p99_ms:.1f} ms (p99).",
        ),
    )


def _ingest(*, quick: bool) -> Table:
    rounds, seconds = (1, 1.0) if quick else (5, 4.0)
    rows = []
    disk: list[float] = []
    for connections in CONNECTIONS:
        rates, p50s, p99s, groups = [], [], [], []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder, sidecar(Path(folder)) as relay:
                disk.append(fdatasync_rate(Path(folder)))
                seen = send(relay.port, connections=connections, seconds=seconds)
                commits, _ = relay.commits()
                rates.append(seen.per_second)
                p50s.append(seen.p50_ms)
                p99s.append(seen.p99_ms)
                groups.append(seen.acked / max(1, commits))
                assert seen.failed == 0
        rows.append((str(connections), spread(rates), spread(p50s), spread(p99s), f"{statistics.median(groups):.1f}"))
    return Table(
        "Durable ingest of the sidecar",
        ("connections", "events/s acked", "ack p50 ms", "ack p99 ms", "events per commit"),
        tuple(rows),
        (
            f"{EVENT_BYTES} bytes each, acked when durable, redacted, backend dead; {rounds} rounds of {seconds:g} s",
            "The sender shares the processors. Budget at 16 connections: 6 000/s, p99 15 ms.",
            f"The same disk, between the rounds: {spread(disk)} fdatasync of 5 KB a second.",
        ),
    )


def main() -> None:
    """Prints the tables; `--quick` for a short try."""
    for table in measure("--quick" in sys.argv):
        sys.stdout.write(table.markdown() + "\n")


if __name__ == "__main__":
    main()
