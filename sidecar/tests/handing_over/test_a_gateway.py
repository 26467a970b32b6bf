"""What a gateway takes, from whom, how much of it, and what it makes of it."""

from __future__ import annotations

import hashlib
import math
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from floe_sidecar import parcels, tokens
from floe_sidecar.credentials import SecretFile
from floe_sidecar.parcels import PATH, ParcelsRefusedError
from floe_sidecar.records import Queued
from floe_sidecar.service import Sidecar
from sidecar.tests.builders import PATIENCE_SECONDS, Answer, ask, body, get, post, request, run_id, until
from sidecar.tests.gateways import KEY, OTHER_KEY, batch, bearer, gateway, written
from sidecar.tests.standins import BackendStandIn, Reply

pytestmark = pytest.mark.requirement("HOUSE-5", "HOUSE-7")

ANY_BYTES = bytes(range(256))


async def hand_over(running: Sidecar, content: bytes, authorization: str = bearer()) -> Answer:
    return await post(running.application.port, content, PATH, Authorization=authorization)


async def metrics(running: Sidecar) -> str:
    return (await get(running.health.port, "/metrics")).body.decode()


@pytest.mark.requirement("RELAY-1", "RELAY-8")
async def test_what_is_handed_over_arrives_byte_for_byte_in_its_order(tmp_path: Path, backend: BackendStandIn) -> None:
    backend.answer = lambda _post: Reply()
    bodies = [ANY_BYTES, b"{", body(1, text="postgres://me:hunter2@host"), b"\xff"]
    async with gateway(tmp_path, lineage_url=backend.url) as running:
        answer = await hand_over(running, batch(*[("a-run", 1.0, content) for content in bodies]))
        await until(lambda: len(backend.accepted) == len(bodies))
    assert (answer.status, answer.json) == (200, {"stored": 4, "duplicates": 0})
    assert [seen.body for seen in backend.posts] == bodies
    assert [seen.headers["idempotency-key"] for seen in backend.posts] == [
        hashlib.blake2b(content, digest_size=16).hexdigest() for content in bodies
    ]


@pytest.mark.requirement("RELAY-8")
async def test_a_batch_that_comes_again_is_confirmed_and_not_kept_twice_over_a_restart_and_however_old(
    tmp_path: Path,
) -> None:
    old = time.time() - 86_400
    content = batch(*[(run_id(1), old + number, body(1, "OTHER", number)) for number in range(3)])
    async with gateway(tmp_path) as running:
        assert (await hand_over(running, content)).json == {"stored": 3, "duplicates": 0}
    async with gateway(tmp_path) as running:
        assert (await hand_over(running, content)).json == {"stored": 0, "duplicates": 3}
        assert running.writer.level.events == 3


async def test_how_long_an_event_has_waited_is_told_from_where_it_was_taken_first(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        await hand_over(running, batch((run_id(1), time.time() - 3600, body())))
        text = await metrics(running)
    age = float(text.split("\nfloe_sidecar_queue_oldest_age_seconds ")[1].split("\n")[0])
    assert 3600 <= age < 3700


@pytest.mark.requirement("HOUSE-4")
async def test_a_pod_without_a_sidecar_sends_as_to_any_backend(tmp_path: Path, backend: BackendStandIn) -> None:
    async with gateway(tmp_path, lineage_url=backend.url) as running:
        answer = await post(running.application.port, body(), Authorization=bearer())
        several = await post(
            running.application.port, b"[" + body(2) + b"]", "/api/v1/lineage/batch", Authorization=bearer()
        )
        await until(lambda: len(backend.accepted) == 2)
    assert (answer.status, several.json["summary"]["successful"]) == (201, 1)
    assert {seen.body for seen in backend.accepted} == {body(), body(2)}


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer nonsense",
        "Basic c2FsZXM6eA==",
        bearer(key=OTHER_KEY),
        bearer().replace("sales", "finance"),
        bearer()[:-1],
        bearer() + "0",
    ],
)
@pytest.mark.parametrize("path", [PATH, "/api/v1/lineage"])
async def test_without_a_token_of_its_keys_nothing_is_taken(tmp_path: Path, authorization: str, path: str) -> None:
    async with gateway(tmp_path) as running:
        answer = await post(running.application.port, batch(), path, Authorization=authorization)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer" in answer.json["error"]
        assert running.metrics.refused.values == {"unauthorised": 1}
        assert running.writer.level.events == 0


@pytest.mark.requirement("RELAY-5")
async def test_who_has_no_token_is_refused_before_the_body_is_read(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        (answer,) = await ask(running.application.port, request(path=PATH).replace(b"Length: 0", b"Length: 4000000"))
        assert answer.status == 401
        assert running.application.inflight_bytes == 0


async def test_the_scheme_may_be_written_in_any_case(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        assert (await hand_over(running, batch(), bearer().replace("Bearer", "bearer"))).status == 200


async def test_a_key_that_is_added_is_taken_without_a_restart_beside_the_old_one(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        new, old = bearer(key=OTHER_KEY), bearer()
        assert (await hand_over(running, batch(), new)).status == 401
        written(tmp_path / "keys", f"{OTHER_KEY}\n{KEY}\n")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (await hand_over(running, batch(), new)).status != 200:
            assert time.monotonic() < deadline
        assert (await hand_over(running, batch(), old)).status == 200


def test_keys_that_are_taken_away_hold_no_longer_and_unusable_ones_change_nothing(tmp_path: Path) -> None:
    keys = written(tmp_path / "keys", KEY)
    now = 0.0
    file = SecretFile(keys, what="the keys", problem=tokens.problem_of, clock=lambda: now)
    assert file.current() == KEY
    written(keys, "short")
    now += 1
    assert file.current() == KEY
    keys.unlink()
    now += 1
    assert file.current() == KEY
    written(keys, OTHER_KEY)
    assert file.current() == KEY
    now += 1
    assert file.current() == OTHER_KEY


@pytest.mark.requirement("RELAY-5")
async def test_a_namespace_that_has_filled_its_share_is_refused_and_no_other(tmp_path: Path) -> None:
    async with gateway(tmp_path, namespace_max_bytes=64 * 1024) as running:
        large = [("r", 1.0, bytes([number]) * 20_000) for number in range(4)]
        assert (await hand_over(running, batch(*large[:3]))).status == 200
        refused = await hand_over(running, batch(large[3]))
        alone = await post(running.application.port, body(padding="x" * 9000), Authorization=bearer())
        assert [refused.status, alone.status] == [503, 503]
        assert refused.headers["retry-after"] == "1"
        assert "sales" in refused.json["error"]
        assert (await hand_over(running, batch(large[3]), bearer("finance"))).status == 200
        assert (await post(running.application.port, body(), Authorization=bearer("finance"))).status == 201
        text = await metrics(running)
    assert 'floe_sidecar_namespace_refused_total{namespace="sales"} 2' in text
    assert 'floe_sidecar_namespace_queue_bytes{namespace="sales"} 60' in text
    assert 'floe_sidecar_namespace_queue_bytes{namespace="finance"} 2' in text


@pytest.mark.requirement("RELAY-5")
async def test_a_share_is_free_again_when_events_are_delivered_and_counted_anew_after_a_restart(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    backend.answer = lambda _post: Reply(503)
    full = batch(*[("r", 1.0, bytes([number]) * 20_000) for number in range(3)])
    more = batch(("r", 1.0, b"m" * 20_000))
    async with gateway(tmp_path, lineage_url=backend.url, namespace_max_bytes=64 * 1024) as running:
        assert (await hand_over(running, full)).status == 200
    async with gateway(tmp_path, lineage_url=backend.url, namespace_max_bytes=64 * 1024) as running:
        assert running.writer.level.sources.keys() == {"sales"}
        assert (await hand_over(running, more)).status == 503
        backend.answer = lambda _post: Reply()
        await until(lambda: not running.writer.level.sources)
        assert (await hand_over(running, more)).status == 200


@pytest.mark.requirement("RELAY-5")
async def test_a_batch_that_does_not_fit_as_a_whole_is_not_kept_in_parts(tmp_path: Path) -> None:
    async with gateway(tmp_path, namespace_max_bytes=64 * 1024) as running:
        content = batch(*[("r", 1.0, bytes([number]) * 20_000) for number in range(4)])
        assert (await hand_over(running, content)).status == 503
        assert running.writer.level.events == 0


@pytest.mark.requirement("RELAY-3")
async def test_runs_of_two_namespaces_are_two_runs(tmp_path: Path, backend: BackendStandIn) -> None:
    refused = body(1, "START")
    backend.answer = lambda seen: Reply(503) if seen.body == refused else Reply()
    async with gateway(tmp_path, lineage_url=backend.url) as running:
        await hand_over(running, batch((run_id(1), 1.0, refused)))
        await hand_over(running, batch((run_id(1), 1.0, body(1, "COMPLETE"))), bearer("finance"))
        await until(lambda: len(backend.accepted) == 1)
    assert backend.accepted[0].body == body(1, "COMPLETE")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        msgspec.msgpack.encode({"a": 1}),
        msgspec.msgpack.encode([["", 1.0, b"x"]]),
        msgspec.msgpack.encode([["r" * 301, 1.0, b"x"]]),
        msgspec.msgpack.encode([["r", 1.0, b""]]),
        msgspec.msgpack.encode([["r", "yesterday", b"x"]]),
        batch(("r", 1.0, b"x"))[:-1],
    ],
)
async def test_what_is_not_a_handover_is_refused_with_what_is_wrong(tmp_path: Path, content: bytes) -> None:
    async with gateway(tmp_path) as running:
        answer = await hand_over(running, content)
        assert (answer.status, "batch of events" in answer.json["error"]) == (400, True)
        assert running.metrics.refused.values == {"not_a_handover": 1}


async def test_a_batch_of_too_many_events_or_another_method_is_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path, batch_max_events=2) as running:
        assert (await hand_over(running, batch(*[("r", 1.0, b"x")] * 3))).status == 413
        (got,) = await ask(running.application.port, request(path=PATH, method="GET", Authorization=bearer()))
        assert got.status == 405


async def test_an_event_as_large_as_a_sidecar_takes_fits_into_a_handover(tmp_path: Path) -> None:
    async with gateway(tmp_path, body_max_bytes=10_000) as running:
        largest = Queued(1, "r" * 270, 1.0, 10_000, b"", b"x" * 10_000)
        assert (await hand_over(running, parcels.encode([largest]))).status == 200


@given(moment=st.floats(), now=st.floats(min_value=1, max_value=4e9))
def test_a_senders_clock_is_never_believed_beyond_ours(moment: float, now: float) -> None:
    (record,) = parcels.decode(batch(("r", moment, b"x")), "sales", now=now)
    assert record.received_at is not None
    assert 0 < record.received_at <= now
    assert not math.isnan(record.received_at)


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300), st.binary(min_size=1))
    )
)
def test_what_is_encoded_is_decoded_as_the_same_events_of_the_source(events: list[tuple[str, bytes]]) -> None:
    queued = [Queued(n, run, 5.0, len(content), b"", content) for n, (run, content) in enumerate(events)]
    found = parcels.decode(parcels.encode(queued), "sales", now=9.0)
    assert [(record.run, record.body, record.received_at) for record in found] == [
        (f"sales/{run}", content, 5.0) for run, content in events
    ]


@given(st.binary())
@example(b"\x91\x93\xa1\x80\x00\x80")  # a text that is no UTF-8
def test_no_bytes_make_the_decoder_fail_otherwise_than_by_refusing(content: bytes) -> None:
    with suppress(ParcelsRefusedError):
        assert isinstance(parcels.decode(content, "sales", now=1.0), list)
