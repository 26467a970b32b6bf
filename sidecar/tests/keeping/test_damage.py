"""A damaged spool file never stops a start, and what is readable in it is not lost."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from floe_sidecar.records import Record
from floe_sidecar.spool import Spool
from sidecar.tests.builders import accepted, body, event, post, relay, until
from sidecar.tests.keeping.test_the_spool import record
from sidecar.tests.standins import BackendStandIn

pytestmark = pytest.mark.requirement("RELAY-2", "BUDGET-6")

EVENTS = 60


def spool_file(folder: Path) -> Path:
    """A spool with events, closed, so that everything is in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    spool = Spool(folder)
    spool.open()
    for number in range(EVENTS):
        with spool.transaction():
            spool.append([record(f"run{number % 5}", b"%06d" % number + b"x" * 3000)])
    spool.close()
    return folder / "spool.sqlite"


def numbers(folder: Path) -> tuple[list[int], int]:
    """Which events a fresh start finds, in order, and how many it says it recovered."""
    spool = Spool(folder)
    opening = spool.open()
    rows, _ = spool.read_after(0, limit=1000, max_bytes=10**9)
    found = [int(row.body[:6]) for row in rows if row.body is not None]
    with spool.transaction():
        spool.append([record("new", b"999999")])
    spool.close()
    return found, opening.recovered


def test_a_flipped_byte_anywhere_never_stops_the_start_and_never_invents_an_event(tmp_path: Path) -> None:
    whole = spool_file(tmp_path / "whole").read_bytes()
    draw = random.Random(7)  # noqa: S311 - repeatable, not secret
    for trial in range(40):
        folder = tmp_path / str(trial)
        folder.mkdir()
        damaged = bytearray(whole)
        for _ in range(draw.choice((1, 1, 8))):
            damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
        (folder / "spool.sqlite").write_bytes(damaged)
        found, _ = numbers(folder)
        assert found == sorted(set(found))
        assert set(found) <= set(range(EVENTS))
        shutil.rmtree(folder)


def test_a_page_that_is_gone_costs_only_what_it_held(tmp_path: Path) -> None:
    file = spool_file(tmp_path)
    content = bytearray(file.read_bytes())
    page = len(content) // 16384 // 2
    content[page * 16384 : (page + 1) * 16384] = b"\xaa" * 16384
    file.write_bytes(content)
    found, recovered = numbers(tmp_path)
    assert recovered == len(found) >= EVENTS - 12
    (aside,) = tmp_path.glob("spool.sqlite.damaged-*")
    assert aside.stat().st_size > 0
    assert found == sorted(found)


@pytest.mark.parametrize(
    "content",
    [b"no database at all", b"\0" * 100_000, b"SQLite format 3\0" + b"\xff" * 50_000, b"SQLite format 3\0"],
    ids=["text", "zeros", "a header with garbage", "a header alone"],
)
def test_a_file_that_is_no_spool_is_set_aside_and_a_new_one_begins(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spool.sqlite").write_bytes(content)
    assert numbers(tmp_path) == ([], 0)
    (aside,) = tmp_path.glob("spool.sqlite.damaged-*")
    assert aside.read_bytes()[:50] == content[:50]
    assert numbers(tmp_path) == ([999999], 0)


def test_another_programs_database_is_set_aside(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "spool.sqlite") as other:
        other.execute("CREATE TABLE events (a)")
    other.close()
    assert numbers(tmp_path) == ([], 0)
    assert len(list(tmp_path.glob("spool.sqlite.damaged-*"))) == 1


def test_two_damaged_files_in_one_second_get_two_names(tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / "spool.sqlite").write_bytes(b"no database")
        spool = Spool(tmp_path, wall_clock=lambda: 1_800_000_000.0)
        assert spool.open().set_aside is not None
        spool.close()
    assert len(list(tmp_path.glob("spool.sqlite.damaged-20270115T080000Z*"))) == 2


def test_a_log_that_was_cut_at_any_byte_keeps_every_commit_before_the_cut(tmp_path: Path) -> None:
    living = tmp_path / "living"
    living.mkdir()
    spool = Spool(living)
    spool.open()
    sizes = []
    for number in range(20):
        with spool.transaction():
            spool.append([record("r", b"%06d" % number + b"x" * 3000)])
        sizes.append((living / "spool.sqlite-wal").stat().st_size)
    log_bytes = (living / "spool.sqlite-wal").read_bytes()
    draw = random.Random(11)  # noqa: S311 - repeatable, not secret
    for trial in range(30):
        cut = draw.randrange(sizes[0], len(log_bytes))
        folder = tmp_path / str(trial)
        folder.mkdir()
        shutil.copy(living / "spool.sqlite", folder)
        (folder / "spool.sqlite-wal").write_bytes(log_bytes[:cut])
        found, _ = numbers(folder)
        durable = sum(size <= cut for size in sizes)
        assert found == list(range(len(found)))
        assert len(found) >= durable
        shutil.rmtree(folder)
    spool.close()


async def test_a_body_that_changed_on_the_disk_is_a_dead_letter_and_its_run_goes_on(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    spool = Spool(folder)
    spool.open()
    with spool.transaction():
        good = record("r", body(1, "COMPLETE"))
        spool.append([Record("r", b"another digest..", body(1, "START")), good])
    spool.close()
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await until(lambda: sidecar.writer.level.events == 0)
        assert [seen.kind for seen in backend.posts] == ["COMPLETE"]
        assert sidecar.metrics.dead.values == {"damaged": 1}
        assert sidecar.writer.level.dead_letters == 1


async def test_damage_while_running_is_set_aside_and_the_relay_goes_on(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        events = [event(number, padding="x" * 5000) for number in range(600)]
        await post(sidecar.application.port, json.dumps(events).encode(), "/api/v1/lineage/batch")
        await sidecar.writer.ask(lambda spool: spool.checkpoint(), or_else=0)
        file = tmp_path / "spool" / "spool.sqlite"
        file.write_bytes(b"\xaa" * file.stat().st_size)
        (tmp_path / "spool" / "spool.sqlite-wal").write_bytes(b"")
        unreadable = await sidecar.writer.ask(
            lambda spool: spool.read_after(0, limit=1000, max_bytes=10**9)[1], or_else=True
        )
        # Noticed by this reading, or before it by a write of the relay's own that came first.
        assert unreadable or sidecar.metrics.corruptions.total == 1
        await accepted(sidecar, body(1000))
        assert sidecar.metrics.corruptions.total == 1
        assert len(list((tmp_path / "spool").glob("spool.sqlite.damaged-*"))) >= 1
