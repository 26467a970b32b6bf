"""`python -m floe_sidecar.queue`: dead letters and the queue, beside a running relay and without one."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from floe_sidecar.queue import main
from floe_sidecar.records import DeadLetter, Record
from floe_sidecar.service import Sidecar
from floe_sidecar.spool import Spool
from sidecar.tests.builders import accepted, body, get, relay, run_id, until
from sidecar.tests.standins import BackendStandIn, Post, Reply

pytestmark = pytest.mark.requirement("RELAY-4", "CC-1.4")

SECRET = "hunter2hunter2"


def spool_with(folder: Path, *, dead: int = 3, waiting: int = 2) -> Path:
    """A spool of a relay that has ended: dead letters 1 to `dead`, then events that wait."""
    spool = Spool(folder)
    spool.open()
    contents = [body(1, "OTHER", number, sql=f"postgres://me:{SECRET}@db/x") for number in range(dead + waiting)]
    with spool.transaction():
        spool.append([Record(run_id(1), b"%016d" % number, content) for number, content in enumerate(contents)])
        reasons = ["status_400" if number % 2 else "poison" for number in range(1, dead + 1)]
        spool.settle([], [DeadLetter(n, why, f"Bearer {SECRET}") for n, why in enumerate(reasons, 1)])
    spool.close()
    return folder


def counts(folder: Path) -> tuple[int, int]:
    spool = Spool(folder)
    spool.open()
    spool.close()
    return spool.events, spool.dead_letters


def run(folder: Path, *arguments: str) -> int:
    command, *rest = arguments
    return main([command, "--spool", str(folder), *rest])


async def run_beside(sidecar: Sidecar, *arguments: str) -> int:
    return await asyncio.to_thread(run, sidecar.directory, *arguments)


def test_the_list_names_each_dead_letter_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(spool_with(tmp_path), "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert [line.split()[4] for line in lines] == ["status_400", "poison", "status_400"]
    assert all(run_id(1) in line for line in lines)


def test_the_list_is_narrowed_and_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = spool_with(tmp_path)
    assert run(folder, "list", "--json", "--reason", "status_400", "--limit", "1") == 0
    told = capsys.readouterr()
    (entry,) = map(json.loads, told.out.splitlines())
    assert (entry["sequence"], entry["reason"]) == (1, "status_400")
    assert "more than 1" in told.err
    assert run(folder, "list", "--run", run_id(2)) == 0
    assert run(folder, "list", "--queue", "--json") == 0
    assert [json.loads(line)["sequence"] for line in capsys.readouterr().out.splitlines()] == [4, 5]


def test_one_event_is_shown_with_its_body(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(spool_with(tmp_path), "show", "2") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["sequence"], document["reason"]) == (2, "poison")
    assert document["body"]["eventTime"].endswith("000001Z")


@pytest.mark.parametrize("arguments", [["list"], ["list", "--json"], ["show", "1"], ["export"], ["export", "--queue"]])
@pytest.mark.requirement("RELAY-9", "HOUSE-7")
def test_no_secret_is_printed_even_if_the_spool_holds_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(spool_with(tmp_path), *arguments) == 0
    told = capsys.readouterr()
    assert SECRET not in told.out + told.err
    assert told.out


def test_what_is_exported_can_be_posted_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, file = spool_with(tmp_path / "spool"), tmp_path / "letters.ndjson"
    assert run(folder, "export", "--to", str(file), "--dry-run") == 0
    assert not file.exists()
    assert run(folder, "export", "--to", str(file)) == 0
    assert [json.loads(line)["eventTime"][-7:-1] for line in file.read_text().splitlines()] == [
        "000000",
        "000001",
        "000002",
    ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run(folder, "export", "--to", str(file)) == 1
    assert "File exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["replay", "--all"], (5, 0)),
        (["replay", "--reason", "poison"], (3, 2)),
        (["replay", "--sequence", "1", "--sequence", "2"], (4, 1)),
        (["purge", "--all"], (2, 0)),
        (["purge", "--run", run_id(1).upper()], (2, 0)),
        (["purge", "--queue", "--sequence", "5"], (1, 3)),
        (["purge", "--queue", "--all"], (0, 3)),
    ],
)
def test_what_is_changed_without_a_relay(tmp_path: Path, arguments: list[str], left: tuple[int, int]) -> None:
    folder = spool_with(tmp_path)
    assert run(folder, *arguments, "--dry-run") == 0
    assert counts(folder) == (2, 3)
    assert run(folder, *arguments) == 0
    assert counts(folder) == left
    assert run(folder, *arguments) == 3


def test_many_are_changed_in_parts_and_each_once(tmp_path: Path) -> None:
    folder = spool_with(tmp_path, dead=300, waiting=0)
    assert run(folder, "replay", "--all") == 0
    assert counts(folder) == (300, 0)
    spool = Spool(folder)
    spool.open()
    rows, _ = spool.read_after(0, limit=1000, max_bytes=10**9)
    assert [row.digest for row in rows] == [b"%016d" % number for number in range(300)]
    spool.close()


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["show", "77"], 3, "no such event"),
        (["replay", "--sequence", "77"], 3, "0 events put back"),
        (["purge"], 1, "--all"),
    ],
)
def test_what_is_not_there_or_not_meant_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, told: str
) -> None:
    assert run(spool_with(tmp_path), *arguments) == code
    assert told in capsys.readouterr().err


def test_a_folder_without_a_spool_is_told_and_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("list", "replay"):
        assert run(tmp_path / "nothing", command, *(["--all"] if command == "replay" else [])) == 1
        assert "there is no spool" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()


async def dead_letters(sidecar: Sidecar, number: int) -> None:
    for at in range(number):
        await accepted(sidecar, body(1, "OTHER", at))
    await until(lambda: sidecar.writer.level.dead_letters == number)


async def test_dead_letters_are_sent_again_by_the_running_relay_in_their_order(
    tmp_path: Path, backend: BackendStandIn
) -> None:
    backend.answer = lambda _post: Reply(400)
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await dead_letters(sidecar, 5)
        first = [post.headers["idempotency-key"] for post in backend.posts]
        backend.answer = lambda _post: Reply()
        assert await run_beside(sidecar, "replay", "--all") == 0
        await until(lambda: len(backend.accepted) == 5)
        await until(lambda: sidecar.writer.level.events == 0)
        assert [post.headers["idempotency-key"] for post in backend.accepted] == first
        assert sidecar.writer.level.dead_letters == 0


async def test_what_is_purged_beside_the_relay_is_gone_and_counted(tmp_path: Path, backend: BackendStandIn) -> None:
    def only_others(post: Post) -> Reply:
        return Reply(400) if post.kind == "OTHER" else Reply(503)

    backend.answer = only_others
    async with relay(tmp_path, lineage_url=backend.url, retry_base_seconds=5.0, retry_cap_seconds=5.0) as sidecar:
        await dead_letters(sidecar, 2)
        for number in range(20):
            await accepted(sidecar, body(2, "RUNNING", number))
        assert await run_beside(sidecar, "purge", "--all") == 0
        assert await run_beside(sidecar, "purge", "--queue", "--all") == 0
        assert (sidecar.writer.level.events, sidecar.writer.level.dead_letters) == (0, 0)
        assert sidecar.metrics.dropped.values == {"purged": 22}
        status: dict[str, Any] = (await get(sidecar.health.port, "/status")).json
        assert status["events"]["lost"] == 22
        backend.answer = lambda _post: Reply()
        sidecar.delivery._breaker.try_now()
        await accepted(sidecar, body(3, "COMPLETE"))
        await until(lambda: any(post.kind == "COMPLETE" for post in backend.accepted))


async def test_the_running_relay_is_read_without_disturbing_it(
    tmp_path: Path, backend: BackendStandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    backend.answer = lambda _post: Reply(400)
    async with relay(tmp_path, lineage_url=backend.url) as sidecar:
        await dead_letters(sidecar, 3)
        for arguments in (["list"], ["show", "1"], ["export"], ["replay", "--all", "--dry-run"]):
            assert await run_beside(sidecar, *arguments) == 0
        assert "3 events would be put back" in capsys.readouterr().err
        await accepted(sidecar, body(2))
        assert sidecar.writer.level.dead_letters >= 3


async def test_the_socket_is_for_the_owner_alone_and_answers_nonsense(tmp_path: Path) -> None:
    async with relay(tmp_path) as sidecar:
        path = sidecar.directory / "control"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        folder = os.open(sidecar.directory, os.O_RDONLY)
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{folder}/control")
        os.close(folder)
        for line in (b"nonsense\n", b'{"verb": "format"}\n', b"[]\n"):
            writer.write(line)
            assert "cannot be read" in json.loads(await reader.readline())["failure"]
        writer.close()
        await writer.wait_closed()
    assert not path.exists()


def test_a_relay_that_holds_the_folder_and_does_not_answer_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from floe_sidecar.locks import lock  # noqa: PLC0415 - here only

    descriptor = lock(spool_with(tmp_path))
    try:
        assert run(tmp_path, "purge", "--all") == 1
        assert "does not take the order" in capsys.readouterr().err
    finally:
        os.close(descriptor)


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "floe_sidecar.queue", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_as_a_program_it_finds_the_folder_by_its_variable_and_refuses_a_wrong_command(tmp_path: Path) -> None:
    spool_with(tmp_path)
    listed = command("list", FLOE_SIDECAR_SPOOL_DIRECTORY=str(tmp_path))
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, 3)
    assert command("list").returncode == 2
    assert command("burn", FLOE_SIDECAR_SPOOL_DIRECTORY=str(tmp_path)).returncode == 2
