"""At its pod's end a sidecar hands over to the gateway what the backend does not take; real processes, real ends."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from sidecar.tests.builders import PATIENCE_SECONDS, RelayProcess, body, event, relay_process, run_id
from sidecar.tests.gateways import OTHER_KEY, free_port, gateway_process, handing_over_to, written
from sidecar.tests.standins import BackendStandIn, Post, Reply, backend_in_thread

pytestmark = pytest.mark.requirement("HOUSE-5", "RELAY-6")

DEAD = "http://127.0.0.1:9"
TRIALS = 3


def send(relay: RelayProcess, contents: Iterable[bytes]) -> None:
    for content in contents:
        request = urllib.request.Request(f"http://127.0.0.1:{relay.port}/api/v1/lineage", content, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own address
            assert answer.status == 201


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen in time"
        threading.Event().wait(0.01)


def end(relay: RelayProcess) -> tuple[dict[str, Any], float]:
    """What the sidecar says at its end, and how long that took."""
    started = time.monotonic()
    code, lines = relay.end()
    assert code == 0
    return lines[-1], time.monotonic() - started


def events_of(runs: int, each: int) -> list[bytes]:
    return [body(run, "OTHER", number) for number in range(each) for run in range(runs)]


def numbers_by_run(posts: Iterable[Post]) -> dict[str, list[int]]:
    """The numbers of each run's events by their first arrival."""
    found: dict[str, list[int]] = defaultdict(list)
    seen: set[bytes] = set()
    for post in posts:
        if post.body not in seen:
            seen.add(post.body)
            found[post.run].append(int(post.event["eventTime"][20:26]))
    return found


@pytest.mark.requirement("BUDGET-6", "RELAY-3")
def test_what_a_dead_backend_does_not_take_outlives_the_pod_and_a_killed_gateway(tmp_path: Path) -> None:
    sent = events_of(runs=5, each=20)
    with gateway_process(tmp_path, LINEAGE_URL=DEAD) as gateway:
        access = handing_over_to(tmp_path, gateway.port) | {"SHUTDOWN_SECONDS": "30"}
        with relay_process(tmp_path / "pod", LINEAGE_URL=DEAD, **access) as relay:
            send(relay, sent)
            until(lambda: not relay.status()["backend"]["up"])
            told, seconds = end(relay)
        assert (told["handed_over_events"], told["unsent_events"], told["acked_events"]) == (100, 0, 100)
        assert seconds < 10
        assert gateway.status()["events"]["pending"] == 100
        gateway.kill()
    with backend_in_thread(BackendStandIn()) as backend, gateway_process(tmp_path, LINEAGE_URL=backend.url):
        until(lambda: len(backend.accepted) >= 100)
    assert sorted(post.body for post in backend.accepted) == sorted(sent)
    assert numbers_by_run(backend.accepted) == {run_id(run): list(range(20)) for run in range(5)}


@pytest.mark.requirement("RELAY-4")
def test_an_event_beyond_the_gateways_bound_becomes_a_dead_letter_and_the_rest_goes_on(tmp_path: Path) -> None:
    sent = [*events_of(runs=2, each=5), body(1, "OTHER", 5, padding="x" * 60_000), body(1, "OTHER", 6), body(3)]
    message = written(tmp_path / "termination-log", "")
    with gateway_process(tmp_path, LINEAGE_URL=DEAD, BODY_MAX_BYTES="32Ki") as gateway:
        access = handing_over_to(tmp_path, gateway.port) | {"GATEWAY_BATCH_BYTES": "20Ki", "SHUTDOWN_SECONDS": "30"}
        access |= {"TERMINATION_MESSAGE_FILE": str(message)}
        with relay_process(tmp_path / "pod", LINEAGE_URL=DEAD, **access) as relay:
            send(relay, sent)
            until(lambda: not relay.status()["backend"]["up"])
            told, _ = end(relay)
        assert gateway.status()["events"]["pending"] == 12
        letters = listed(tmp_path / "pod" / "spool")
    assert (told["handed_over_events"], told["unsent_events"], told["dead_letters"]) == (12, 0, 1)
    assert json.loads(message.read_bytes())["dead_letters"] == 1
    assert [(letter["run"], letter["reason"]) for letter in letters] == [(run_id(1), "status_413")]
    assert letters[0]["detail"].startswith("the gateway: ")


def listed(spool: Path) -> list[dict[str, Any]]:
    """The dead letters of a relay that has ended."""
    command = [sys.executable, "-m", "floe_sidecar.queue", "list", "--json", "--spool", str(spool)]
    lines = subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS).stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_without_a_backend_that_was_known_to_be_away_the_end_waits_for_it_no_longer_than_told(tmp_path: Path) -> None:
    with (
        backend_in_thread(BackendStandIn(lambda _post: Reply(silent=True))) as hole,
        gateway_process(tmp_path) as gateway,
    ):
        access = handing_over_to(tmp_path, gateway.port) | {"SHUTDOWN_SECONDS": "60", "GATEWAY_AFTER_SECONDS": "0.2"}
        with relay_process(tmp_path / "pod", LINEAGE_URL=hole.url, **access) as relay:
            send(relay, [body()])
            told, seconds = end(relay)
    assert told["handed_over_events"] == 1
    assert 0.2 < seconds < 10


def test_a_backend_that_works_gets_everything_and_the_gateway_nothing(tmp_path: Path) -> None:
    slow = BackendStandIn(lambda _post: Reply(after_seconds=0.02))
    with backend_in_thread(slow) as backend, gateway_process(tmp_path, LINEAGE_URL=DEAD) as gateway:
        access = handing_over_to(tmp_path, gateway.port)
        with relay_process(tmp_path / "pod", LINEAGE_URL=backend.url, LINEAGE_CONCURRENCY="1", **access) as relay:
            send(relay, events_of(runs=2, each=5))
            told, _ = end(relay)
        assert gateway.status()["events"]["taken_over"] == 0
    assert (told["delivered_events"], told["handed_over_events"], told["unsent_events"]) == (10, 0, 0)


def test_with_the_gateway_away_too_the_rest_stays_and_is_told_within_the_time(tmp_path: Path) -> None:
    message = written(tmp_path / "termination-log", "")
    access = handing_over_to(tmp_path, free_port()) | {"TERMINATION_MESSAGE_FILE": str(message)}
    with relay_process(tmp_path / "pod", LINEAGE_URL=DEAD, SHUTDOWN_SECONDS="0.5", **access) as relay:
        send(relay, events_of(runs=1, each=3))
        told, seconds = end(relay)
    assert seconds < 5
    assert (told["unsent_events"], told["level"]) == (3, "warning")
    left = json.loads(message.read_bytes())
    assert {name: left[name] for name in ("acked_events", "handed_over_events", "unsent_events")} == {
        "acked_events": 3,
        "handed_over_events": 0,
        "unsent_events": 3,
    }
    assert left["unsent_bytes"] > 0
    page = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text()
    assert all(f"`{name}`" in page for name in left)
    assert left["gateway_failure"].startswith("no answer")


@pytest.mark.requirement("RELAY-8")
def test_a_batch_whose_confirmation_was_lost_is_handed_over_again_as_it_was(tmp_path: Path) -> None:
    replies = iter([Reply(cut=True), Reply(503, {"Retry-After": "1"}), Reply(500)])
    gateway = BackendStandIn(lambda _post: next(replies, Reply(200)))
    with backend_in_thread(gateway):
        access = handing_over_to(tmp_path, gateway.port) | {"SHUTDOWN_SECONDS": "30", "GATEWAY_BATCH_BYTES": "1Ki"}
        with relay_process(tmp_path / "pod", LINEAGE_URL=DEAD, **access) as relay:
            send(relay, [body(1, "OTHER", number, padding="x" * 900) for number in range(2)])
            told, _ = end(relay)
    first, *again, last = [post.body for post in gateway.posts]
    assert (told["handed_over_events"], again) == (2, [first] * 3)
    assert last != first


def test_a_gateway_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with backend_in_thread(BackendStandIn(lambda _post: Reply(silent=True))) as hole:
        access = handing_over_to(tmp_path, hole.port)
        with relay_process(tmp_path / "pod", LINEAGE_URL=DEAD, SHUTDOWN_SECONDS="0.5", **access) as relay:
            send(relay, [body()])
            told, seconds = end(relay)
    assert told["unsent_events"] == 1
    assert seconds < 5


def test_a_backend_that_comes_back_gets_what_the_gateway_does_not_take(tmp_path: Path) -> None:
    backend = BackendStandIn(lambda _post: Reply(503))
    access = handing_over_to(tmp_path, free_port())
    with (
        backend_in_thread(backend),
        relay_process(tmp_path / "pod", LINEAGE_URL=backend.url, SHUTDOWN_SECONDS="15", **access) as relay,
    ):
        send(relay, events_of(runs=1, each=3))
        relay.process.terminate()
        seen = len(backend.posts)
        until(lambda: len(backend.posts) > seen + 1)
        backend.answer = lambda _post: Reply()
        told, _ = end(relay)
    assert (told["delivered_events"], told["unsent_events"]) == (3, 0)
    assert [post.body for post in backend.accepted] == events_of(runs=1, each=3)


@pytest.mark.requirement("RELAY-7")
def test_the_end_of_an_open_run_follows_its_events_to_the_gateway(tmp_path: Path) -> None:
    with gateway_process(tmp_path, LINEAGE_URL=DEAD, SHUTDOWN_SECONDS="0.2") as gateway:
        access = handing_over_to(tmp_path, gateway.port) | {"ABORT_OPEN_RUNS": "true"}
        with relay_process(tmp_path / "pod", LINEAGE_URL=DEAD, **access) as relay:
            send(relay, [body(1, "START")])
            told, _ = end(relay)
        assert (told["handed_over_events"], told["unsent_events"]) == (2, 0)
        gateway.end()
    with backend_in_thread(BackendStandIn()) as backend:
        with gateway_process(tmp_path, LINEAGE_URL=backend.url, ABORT_OPEN_RUNS="true") as gateway:
            until(lambda: len(backend.accepted) == 2)
        assert [post.kind for post in backend.accepted] == ["START", "ABORT"]


@pytest.mark.requirement("RELAY-4", "HOUSE-7")
def test_a_wrong_token_is_told_and_never_shown_and_one_that_is_renewed_while_the_pod_ends_is_used(
    tmp_path: Path,
) -> None:
    with gateway_process(tmp_path) as gateway:
        access = handing_over_to(tmp_path, gateway.port, key=OTHER_KEY)
        wrong = Path(access["GATEWAY_TOKEN_FILE"]).read_text()
        with relay_process(tmp_path / "pod", LINEAGE_URL=DEAD, SHUTDOWN_SECONDS="20", **access) as relay:
            send(relay, [body()])
            relay.process.terminate()
            until(lambda: gateway.status()["events"]["refused"] > 0)
            assert gateway.status()["events"]["acked"] == 0
            handing_over_to(tmp_path, gateway.port)
            _, lines = relay.end()
    assert lines[-1]["handed_over_events"] == 1
    refusals = [line["answer"] for line in lines if line["event"] == "the gateway did not take what is left"]
    assert refusals
    assert refusals[0].startswith("401")
    assert wrong not in json.dumps(lines)


@pytest.mark.requirement("BUDGET-6", "RELAY-2", "RELAY-3", "RELAY-8")
def test_a_gateway_that_is_killed_again_and_again_while_pods_hand_over_loses_and_reorders_nothing(
    tmp_path: Path,
) -> None:
    draw = random.Random(20261121)  # noqa: S311 - repeatable, not secret
    backend = BackendStandIn(lambda _post: Reply(503))
    port = free_port()
    acked: list[bytes] = []
    resumed = 0
    variables = {"PORT": str(port)}
    with backend_in_thread(backend):
        variables["LINEAGE_URL"] = backend.url
        for trial in range(TRIALS):
            access = handing_over_to(tmp_path, port) | {"GATEWAY_BATCH_BYTES": "2Ki", "SHUTDOWN_SECONDS": "20"}
            with relay_process(tmp_path / f"pod-{trial}", LINEAGE_URL=DEAD, **access) as relay:
                with gateway_process(tmp_path, **variables) as gateway:
                    contents = [body(trial * 10 + n % 3, "OTHER", n, padding="x" * 400) for n in range(60)]
                    send(relay, contents)
                    acked += contents
                    if trial == 0:  # in any case one that finds no gateway at first
                        gateway.kill()
                    relay.process.terminate()
                    threading.Event().wait(draw.uniform(0.0, 0.06))
                    if trial > 0:
                        gateway.kill()
                with gateway_process(tmp_path, **variables) as gateway:
                    told, _ = end(relay)
                    resumed += gateway.status()["events"]["taken_over"]
                assert told["unsent_events"] == 0
        backend.answer = lambda _post: Reply()
        with gateway_process(tmp_path, **variables) as gateway:
            until(lambda: gateway.status()["events"]["pending"] == 0)
    assert resumed, "no handover went on with the gateway's next start"
    assert {post.body for post in backend.accepted} == set(acked)
    assert all(numbers == sorted(numbers) for numbers in numbers_by_run(backend.accepted).values())
    keys = Counter(post.headers["idempotency-key"] for post in backend.accepted)
    # What was being delivered when a gateway was killed may come again, nothing of what was being handed over.
    assert sum(keys.values()) - len(keys) <= TRIALS * 8
    assert len(keys) == len(acked)


@pytest.mark.requirement("HOUSE-11")
def test_a_gateway_that_ends_takes_nothing_more_and_its_next_start_goes_on(tmp_path: Path) -> None:
    with gateway_process(tmp_path, LINEAGE_URL=DEAD, GATEWAY_AFTER_SECONDS="0.2", SHUTDOWN_SECONDS="60") as gateway:
        access = handing_over_to(tmp_path, gateway.port)
        with relay_process(tmp_path / "pod", LINEAGE_URL=DEAD, **access) as relay:
            send(relay, [json.dumps(event(1, "OTHER", number)).encode() for number in range(3)])
            end(relay)
        told, seconds = end(gateway)
    assert (told["unsent_events"], told["handed_over_events"]) == (3, 0)
    assert seconds < 10
    with backend_in_thread(BackendStandIn()) as backend, gateway_process(tmp_path, LINEAGE_URL=backend.url) as again:
        until(lambda: len(backend.accepted) == 3)
        assert end(again)[0]["unsent_events"] == 0
