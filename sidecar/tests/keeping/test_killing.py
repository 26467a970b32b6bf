"""`kill -9` at random moments under load: what was acknowledged arrives, in order within its run.

The trials share a spool and a backend: each kills one relay while senders post and a delivery is under way, and
starts the next over what it left. At the end everything that any relay acknowledged must have arrived.
"""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from sidecar.tests.builders import PATIENCE_SECONDS, RelayProcess, body, relay_process, run_id
from sidecar.tests.standins import BackendStandIn, Post, Reply, backend_in_thread

pytestmark = pytest.mark.requirement("BUDGET-6", "RELAY-2", "RELAY-3")

TRIALS = 50
SENDERS = 4
RUNS_A_SENDER = 3


class Sender(threading.Thread):
    """Posts the events of its own runs, one after another, for as long as the relay answers; notes what was acked."""

    def __init__(self, port: int, number: int, trial: int, acked: dict[str, list[int]]) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._runs = [number * RUNS_A_SENDER + offset for offset in range(RUNS_A_SENDER)]
        self._first = trial * 10_000
        self._acked = acked

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        try:
            for number in range(self._first, self._first + 10_000):
                for run in self._runs:
                    connection.request("POST", "/api/v1/lineage", body(run, "OTHER", number, padding="x" * 3000))
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status == 201:
                        self._acked[run_id(run)].append(number)
        except (OSError, http.client.HTTPException):
            pass  # the relay was killed
        finally:
            connection.close()


def moody(draw: random.Random) -> Reply:
    """A backend that mostly works."""
    return draw.choices((Reply(), Reply(500), Reply(503), Reply(cut=True)), (90, 4, 3, 3))[0]


def one_trial(relay: RelayProcess, trial: int, acked: dict[str, list[int]], draw: random.Random) -> None:
    senders = [Sender(relay.port, number, trial, acked) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    threading.Event().wait(draw.uniform(0.01, 0.15))
    os.kill(relay.process.pid, signal.SIGKILL)
    for sender in senders:
        sender.join(PATIENCE_SECONDS)
    relay.kill()


def test_nothing_acked_is_lost_or_reordered_by_kills_at_random_moments(tmp_path: Path) -> None:
    draw = random.Random(20261121)  # noqa: S311 - repeatable, not secret
    acked: dict[str, list[int]] = defaultdict(list)
    backend = BackendStandIn(lambda _post: moody(draw))
    with backend_in_thread(backend):
        for trial in range(TRIALS):
            with relay_process(tmp_path, LINEAGE_URL=backend.url) as relay:
                one_trial(relay, trial, acked, draw)
        backend.answer = lambda _post: Reply()
        with relay_process(tmp_path, LINEAGE_URL=backend.url) as last:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while last.status()["events"]["pending"]:
                assert time.monotonic() < deadline
                threading.Event().wait(0.05)
            assert last.end()[0] == 0
    arrived = arrivals(backend.accepted)
    lost = {run: set(numbers) - set(arrived[run]) for run, numbers in acked.items()}
    assert sum(map(len, acked.values())) > TRIALS
    assert not any(lost.values()), lost
    assert all(firsts == sorted(firsts) for firsts in arrived.values())
    duplicates = sum(Counter(seen.body for seen in backend.accepted).values()) - sum(map(len, arrived.values()))
    # At most the requests whose answer had not been written down at each kill come twice.
    assert duplicates <= TRIALS * 200


def arrivals(posts: list[Post]) -> dict[str, list[int]]:
    """For each run the numbers of its events by their first arrival."""
    arrived: dict[str, list[int]] = defaultdict(list)
    seen: set[bytes] = set()
    for post in posts:
        if post.body not in seen:
            seen.add(post.body)
            arrived[post.run].append(int(post.event["eventTime"][20:26]))
    return arrived
