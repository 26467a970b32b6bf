"""`kill -9` at random moments under load, a thousand times over one spool: what is lost, reordered, doubled.

`python -m tests.benchmarks.kills [TRIALS]`. Each trial forks a relay off a process that has everything imported, so
that the time goes into running and killing; while it takes events and delivers, it is killed, and the next trial goes
on with its spool. The backend mostly works. At the end everything that any relay acknowledged must have arrived.
"""

import asyncio
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import UUID

from sidecar.tests.builders import body
from sidecar.tests.standins import BackendStandIn, Reply, backend_in_thread
from tests.benchmarks.report import Table

TRIALS = 1000
SENDERS = 4
EVENTS_A_RUN = 4
_KINDS = ("START", "RUNNING", "RUNNING", "COMPLETE")
_PATIENCE_SECONDS = 60.0
_LONGEST_LIFE_SECONDS = 0.06
_BLIND_SHARE = 0.25

_Key = tuple[str, int]


@dataclass
class Ledger:
    """What was acknowledged and what arrived, event by event: run and place in it."""

    acked: set[_Key] = field(default_factory=set)
    arrived: dict[str, list[int]] = field(default_factory=dict)
    times: Counter[_Key] = field(default_factory=Counter)

    def note_arrivals(self, backend: BackendStandIn) -> None:
        """Takes over what the backend has seen; nothing is under way."""
        for post in backend.accepted:
            key = (post.run, int(post.event["eventTime"][20:26]))
            self.times[key] += 1
            if self.times[key] == 1:
                self.arrived.setdefault(key[0], []).append(key[1])
        backend.accepted.clear()
        backend.posts.clear()

    @property
    def lost(self) -> int:
        """Events that were acknowledged and never arrived."""
        return len(self.acked - set(self.times))

    @property
    def reordered(self) -> int:
        """Runs whose events did not arrive first in the order in which they were sent."""
        return sum(numbers != sorted(numbers) for numbers in self.arrived.values())

    @property
    def ended_before_they_began(self) -> int:
        """Runs whose terminal event arrived before their START, which was acknowledged."""
        last = EVENTS_A_RUN - 1
        return sum(
            last in numbers and 0 in numbers and numbers.index(last) < numbers.index(0)
            for numbers in self.arrived.values()
        )

    @property
    def doubled(self) -> int:
        """Deliveries beyond the first."""
        return sum(count - 1 for count in self.times.values())


class _Sender(threading.Thread):
    """Posts runs from START to COMPLETE, one event after the other, until the relay is killed."""

    def __init__(self, port: int, trial: int, number: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._first_run = (trial * SENDERS + number) * 10_000
        self.acked: list[_Key] = []

    def run(self) -> None:
        try:
            with socket.create_connection(("127.0.0.1", self._port), 10) as connection:
                for run in range(self._first_run, self._first_run + 10_000):
                    for place, kind in enumerate(_KINDS):
                        self._post(connection, run, kind, place)
        except OSError:
            pass  # the relay was killed

    def _post(self, connection: socket.socket, run: int, kind: str, place: int) -> None:
        content = body(run, kind, place, padding="x" * 1500)
        head = f"POST /api/v1/lineage HTTP/1.1\r\nHost: h\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)
        answer = connection.recv(4096)
        if not answer:
            raise ConnectionError
        if answer.startswith(b"HTTP/1.1 201"):
            run_id = str(UUID(int=(run << 64) | 0x7000_8000_0000_0000_0000))
            self.acked.append((run_id, place))


def measure(quick: bool) -> Sequence[Table]:
    """The trials as a table."""
    return [trials(30 if quick else TRIALS)]


def trials(count: int, *, seed: int = 20261121) -> Table:
    """Kills that many relays, and compares."""
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    ledger = Ledger()
    started = time.monotonic()
    backend = BackendStandIn(lambda _post: _moody(draw))
    with tempfile.TemporaryDirectory() as folder, backend_in_thread(backend):
        port = _free_port()
        environment = _environment(Path(folder), port, backend.url)
        for trial in range(count):
            with _relay(environment, port) as relay:
                senders = [_Sender(port, trial, number) for number in range(SENDERS)]
                for sender in senders:
                    sender.start()
                _wait(draw, senders)
                _kill(relay)
                for sender in senders:
                    sender.join(_PATIENCE_SECONDS)
                    ledger.acked.update(sender.acked)
            ledger.note_arrivals(backend)
        backend.answer = lambda _post: Reply()
        with _relay(environment, port):
            deadline = time.monotonic() + _PATIENCE_SECONDS
            while ledger.lost and time.monotonic() < deadline:
                time.sleep(0.2)
                ledger.note_arrivals(backend)
    return Table(
        "Killed at random moments",
        ("relays killed by SIGKILL", "acked", "lost", "runs reordered", "ended before they began", "arrived twice"),
        (
            (
                str(count),
                f"{len(ledger.acked)} events of {len(ledger.arrived)} runs",
                str(ledger.lost),
                str(ledger.reordered),
                str(ledger.ended_before_they_began),
                str(ledger.doubled),
            ),
        ),
        (
            f"One spool, {SENDERS} senders, a backend that fails one time in ten.",
            f"Promised: nothing lost, no run reordered. Seed {seed}, {time.monotonic() - started:.0f} s.",
        ),
    )


def _wait(draw: random.Random, senders: Sequence[_Sender]) -> None:
    """Mostly until events are taken, so that there is something to lose; one time in four wherever it may be."""
    if draw.random() < _BLIND_SHARE:
        time.sleep(draw.uniform(0.0, _LONGEST_LIFE_SECONDS))
        return
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not any(sender.acked for sender in senders) and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(draw.uniform(0.0, _LONGEST_LIFE_SECONDS))


def _moody(draw: random.Random) -> Reply:
    return draw.choices((Reply(), Reply(500), Reply(503), Reply(cut=True)), (90, 4, 3, 3))[0]


def _environment(folder: Path, port: int, url: str) -> dict[str, str]:
    settings = {
        "PORT": str(port),
        "HEALTH_PORT": "0",
        "SPOOL_DIRECTORY": str(folder / "spool"),
        "LINEAGE_URL": url,
        "RETRY_BASE_SECONDS": "0.005",
        "RETRY_CAP_SECONDS": "0.02",
        "SHUTDOWN_SECONDS": "0",
        "ABORT_OPEN_RUNS": "false",
        "LOG_LEVEL": "ERROR",
    }
    return {f"FLOE_SIDECAR_{name}": value for name, value in settings.items()}


_forking = multiprocessing.get_context("forkserver")


@contextmanager
def _relay(environment: dict[str, str], port: int) -> Iterator[BaseProcess]:
    """A relay that takes connections; killed at the end, if not before."""
    _forking.set_forkserver_preload(["floe_sidecar.service", "floe_sidecar.settings.protocol"])
    process = _forking.Process(target=_serve, args=(environment,), daemon=True)
    process.start()
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.is_alive(), "the relay did not start over what was left"
                assert time.monotonic() < deadline
                time.sleep(0.001)
        yield process
    finally:
        _kill(process)


def _serve(environment: dict[str, str]) -> None:
    from floe_sidecar.logs import start_logging  # noqa: PLC0415 - in the relay's process
    from floe_sidecar.service import serve  # noqa: PLC0415 - as above
    from floe_sidecar.settings.protocol import settings_from  # noqa: PLC0415 - as above

    start_logging("CRITICAL")
    asyncio.run(serve(settings_from(environment)[0]))


def _kill(process: BaseProcess) -> None:
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join(_PATIENCE_SECONDS)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.stdout.write(trials(int(sys.argv[1]) if len(sys.argv) > 1 else TRIALS).markdown() + "\n")
