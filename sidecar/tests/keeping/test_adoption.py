"""A volume that outlives pods: what a dead pod left is delivered by the next one, in order and once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from floe_sidecar.adoption import adopt
from floe_sidecar.events import digest
from floe_sidecar.locks import lock
from floe_sidecar.records import DeadLetter, Record
from floe_sidecar.runs import Begins
from floe_sidecar.settings import Settings
from floe_sidecar.settings.pod import PodSettings
from floe_sidecar.spool import FILE_NAME, TELEMETRY_FILE_NAME, Spool
from floe_sidecar.volumes import NETWORK_FILE_SYSTEMS, VolumeError, file_system, refuse_network, spool_folder
from floe_sidecar.writer import Writer
from sidecar.tests.builders import body, post, relay, relay_process, run_id, until
from sidecar.tests.standins import BackendStandIn, backend_in_thread

pytestmark = pytest.mark.requirement("RELAY-2", "RELAY-3", "BUDGET-6")

DEAD = "http://127.0.0.1:9"


def content(number: int) -> bytes:
    return b'{"n":%d}' % number


def on_volume(uid: str, **variables: str) -> dict[str, str]:
    return {"SPOOL_PER_POD": "true", "POD_UID": uid, "POD_RUN": "false", "ADD_PARENT": "false", **variables}


def pod_settings(folder: Path, uid: str, **changes: Any) -> dict[str, Any]:
    pod = PodSettings(pod_uid=uid, pod_run=False, add_parent=False)
    return {"spool_directory": folder, "spool_per_pod": True, "pod": pod, **changes}


async def send(relay_port: int, *bodies: bytes) -> None:
    for content in bodies:
        assert (await post(relay_port, content)).status == 201


async def test_a_replacement_pod_delivers_what_a_killed_one_left_before_its_own_events(tmp_path: Path) -> None:
    backend = BackendStandIn()
    with relay_process(tmp_path, **on_volume("pod-a", LINEAGE_URL=DEAD)) as first:
        await send(first.port, *(body(run, "OTHER", number) for number in range(5) for run in range(3)))
        first.kill()
    with backend_in_thread(backend), relay_process(tmp_path, **on_volume("pod-b", LINEAGE_URL=backend.url)) as second:
        await send(second.port, *(body(run, "OTHER", 5) for run in range(3)))
        await until(lambda: len(backend.accepted) >= 18)
        assert b"floe_sidecar_events_adopted_total 15" in second.get("/metrics")
    for run in range(3):
        seen = [int(one.event["eventTime"][20:26]) for one in backend.accepted if one.run == run_id(run)]
        assert seen == list(range(6))
    assert sorted(folder.name for folder in (tmp_path / "spool").iterdir()) == ["pod-b"]


async def test_the_spool_of_a_pod_that_lives_is_left_alone(tmp_path: Path, backend: BackendStandIn) -> None:
    async with relay(tmp_path, **pod_settings(tmp_path / "spool", "pod-a")) as living:
        await send(living.application.port, body())
        async with relay(tmp_path, **pod_settings(tmp_path / "spool", "pod-b", lineage_url=backend.url)) as other:
            assert other.metrics.adopted.total == 0
            assert other.directory.name == "pod-b"
        assert living.writer.level.events == 1


def orphan(volume: Path, uid: str, count: int) -> None:
    """What a dead pod left: events, a dead letter, an open run."""
    texts = [uid.encode() + content(number) for number in range(count + 1)]
    spool = Spool(volume / uid)
    spool.open()
    with spool.transaction():
        spool.append([Record(f"run-{uid}", digest(text), text) for text in texts])
    with spool.transaction():
        spool.settle([], [DeadLetter(1, "status_400", "no such job")])
    spool.take_over([], [(f"open-{uid}", Begins(run_id(7), "sales", "orders", 1.0))])
    spool.close()


async def an_own_spool(folder: Path) -> Writer:
    writer = Writer(Spool(folder), max_bytes=1 << 26, duplicate_window_seconds=600)
    await writer.start()
    return writer


async def left_in(writer: Writer) -> list[tuple[str, float]]:
    return await writer.ask(
        lambda spool: [(one.run, one.received_at) for one in spool.read_after(0, limit=9999, max_bytes=1 << 30)[0]],
        or_else=[],
    )


async def test_dead_letters_open_runs_and_moments_come_along_and_the_folder_goes(tmp_path: Path) -> None:
    orphan(tmp_path, "pod-a", 600)
    writer = await an_own_spool(tmp_path / "pod-b")
    adopted = await adopt(tmp_path, tmp_path / "pod-b", {FILE_NAME: writer})
    assert (adopted.spools, adopted.events, adopted.dead_letters) == (1, 600, 1)
    left = await left_in(writer)
    assert len(left) == 600
    assert all(received_at > 1 for _, received_at in left)
    level = await writer.ask(lambda spool: spool.level(""), or_else=None)
    assert level is not None
    assert (level.dead_letters, level.open_runs) == (1, 1)
    await writer.stop()
    assert not (tmp_path / "pod-a").exists()


async def test_a_folder_that_is_locked_or_gone_or_empty_is_nobodys(tmp_path: Path) -> None:
    orphan(tmp_path, "pod-a", 1)
    (tmp_path / "starting").mkdir()
    (tmp_path / "lost+found").write_text("")
    held = lock(tmp_path / "pod-a")
    writer = await an_own_spool(tmp_path / "pod-b")
    assert (await adopt(tmp_path, tmp_path / "pod-b", {FILE_NAME: writer})).spools == 0
    assert not (tmp_path / "starting" / "lock").exists()
    os.close(held)
    assert (await adopt(tmp_path, tmp_path / "pod-b", {FILE_NAME: writer})).events == 1
    await writer.stop()


async def test_what_does_not_fit_stays_whole_for_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    orphan(tmp_path, "pod-a", 600)
    small = Writer(Spool(tmp_path / "pod-b"), max_bytes=60_000, duplicate_window_seconds=600)
    await small.start()
    adopted = await adopt(tmp_path, tmp_path / "pod-b", {FILE_NAME: small})
    assert (adopted.spools, adopted.events) == (0, 0)
    assert "not taken over now" in caplog.text
    assert await left_in(small) == []
    await small.stop()
    large = await an_own_spool(tmp_path / "pod-c")
    assert (await adopt(tmp_path, tmp_path / "pod-c", {FILE_NAME: large})).spools == 2
    assert len(await left_in(large)) == 600
    await large.stop()


async def test_telemetry_that_did_not_fit_is_found_without_the_lineage_beside_it(tmp_path: Path) -> None:
    orphan(tmp_path, "pod-a", 5)
    left = Spool(tmp_path / "pod-a", file_name=TELEMETRY_FILE_NAME)
    left.open()
    with left.transaction():
        left.append([Record("traces", digest(text), text) for text in (b"1" * 4000, b"2" * 4000)])
    left.close()
    lineage, telemetry = await an_own_spool(tmp_path / "pod-b"), []
    for max_bytes in (5000, 1 << 20):
        spool = Spool(tmp_path / "pod-b", file_name=TELEMETRY_FILE_NAME)
        telemetry.append(Writer(spool, max_bytes=max_bytes, duplicate_window_seconds=600))
        await telemetry[-1].start()
        await adopt(tmp_path, tmp_path / "pod-b", {FILE_NAME: lineage, TELEMETRY_FILE_NAME: telemetry[-1]})
        assert (tmp_path / "pod-a").exists() is (max_bytes == 5000)
        await telemetry[-1].stop()
    assert (lineage.level.events, telemetry[-1].level.events) == (5, 2)
    await lineage.stop()


async def test_two_pods_that_start_at_once_share_nothing_and_lose_nothing(tmp_path: Path) -> None:
    for number in range(6):
        orphan(tmp_path, f"dead-{number}", 50)
    writers = [await an_own_spool(tmp_path / f"new-{number}") for number in range(2)]
    locks = [lock(tmp_path / f"new-{number}") for number in range(2)]
    adopted = await asyncio.gather(
        *(adopt(tmp_path, tmp_path / f"new-{n}", {FILE_NAME: writer}) for n, writer in enumerate(writers))
    )
    runs = Counter(run for left in [await left_in(writer) for writer in writers] for run, _ in left)
    assert runs == {f"run-dead-{number}": 50 for number in range(6)}
    assert sum(one.spools for one in adopted) == 6
    for writer, descriptor in zip(writers, locks, strict=True):
        await writer.stop()
        os.close(descriptor)


KILLED = """
import asyncio, os, sys
from pathlib import Path
from floe_sidecar.adoption import adopt
from floe_sidecar.spool import FILE_NAME, Spool
from floe_sidecar.writer import Writer

async def main(volume, after):
    own = volume / "pod-b"
    own.mkdir(exist_ok=True)
    writer = Writer(Spool(own), max_bytes=1 << 26, duplicate_window_seconds=600)
    await writer.start()
    steps = 0
    settle = Spool.settle
    def killed(self, *arguments):
        nonlocal steps
        steps += 1
        if steps == after:
            os.kill(os.getpid(), 9)
        settle(self, *arguments)
    Spool.settle = killed
    await adopt(volume, own, {FILE_NAME: writer})

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


@pytest.mark.parametrize("after", [1, 3])
async def test_a_kill_in_the_middle_of_taking_over_loses_and_doubles_nothing(tmp_path: Path, after: int) -> None:
    orphan(tmp_path, "pod-a", 600)
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(after)]
    killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, timeout=60)
    assert killed.returncode == -9, killed.stderr
    writer = await an_own_spool(tmp_path / "pod-b")
    await adopt(tmp_path, tmp_path / "pod-b", {FILE_NAME: writer})
    bodies: list[bytes | None] = await writer.ask(
        lambda spool: [one.body for one in spool.read_after(0, limit=9999, max_bytes=1 << 30)[0]], or_else=[]
    )
    assert bodies == [b"pod-a" + content(number) for number in range(1, 601)]
    await writer.stop()


@pytest.mark.parametrize("used_last", ["pod-a", "pod-b"])
async def test_what_was_taken_over_by_half_is_put_together_in_its_order(tmp_path: Path, used_last: str) -> None:
    orphan(tmp_path, "pod-a", 600)
    command = [sys.executable, "-c", KILLED, str(tmp_path), "3"]
    killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False, timeout=60)
    assert killed.returncode == -9, killed.stderr
    for uid in ("pod-a", "pod-b"):
        os.utime(tmp_path / uid / FILE_NAME, (2e9, 2e9) if uid == used_last else (1e9, 1e9))
    writer = await an_own_spool(tmp_path / "pod-c")
    assert (await adopt(tmp_path, tmp_path / "pod-c", {FILE_NAME: writer})).spools == 2
    bodies: list[bytes | None] = await writer.ask(
        lambda spool: [one.body for one in spool.read_after(0, limit=9999, max_bytes=1 << 30)[0]], or_else=[]
    )
    assert bodies == [b"pod-a" + content(number) for number in range(1, 601)]
    await writer.stop()


@pytest.mark.parametrize("magic", sorted(NETWORK_FILE_SYSTEMS))
def test_a_network_file_system_is_refused_with_what_to_do(tmp_path: Path, magic: int) -> None:
    with pytest.raises(VolumeError, match=f"lies on {NETWORK_FILE_SYSTEMS[magic]}, .*FLOE_SIDECAR_SPOOL_DIRECTORY"):
        refuse_network(tmp_path, kind_of=lambda _folder: magic)


def test_the_kind_of_a_file_system_is_what_the_system_says(tmp_path: Path) -> None:
    told = subprocess.run(
        ["/usr/bin/stat", "-f", "-c", "%t", str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert file_system(tmp_path) == int(told.stdout, 16) & 0xFFFFFFFF
    refuse_network(tmp_path)
    with pytest.raises(OSError, match="statfs failed"):
        file_system(tmp_path / "missing")


def test_a_folder_of_the_pods_own_needs_the_pods_uid(tmp_path: Path) -> None:
    assert spool_folder(Settings(spool_directory=tmp_path)) == tmp_path
    assert spool_folder(Settings()) is None
    known = Settings(spool_directory=tmp_path, spool_per_pod=True, pod=PodSettings(pod_uid="u-1"))
    assert spool_folder(known) == tmp_path / "u-1"
    for uid in ("", "../x", ".."):
        unknown = Settings(spool_directory=tmp_path, spool_per_pod=True, pod=PodSettings(pod_uid=uid))
        with pytest.raises(VolumeError, match="FLOE_SIDECAR_POD_UID"):
            spool_folder(unknown)


def test_without_the_pods_uid_it_does_not_start_and_says_why(tmp_path: Path) -> None:
    environment = {"FLOE_SIDECAR_SPOOL_PER_POD": "true", "FLOE_SIDECAR_SPOOL_DIRECTORY": str(tmp_path)}
    command = [sys.executable, "-m", "floe_sidecar"]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith("floe_sidecar: FLOE_SIDECAR_SPOOL_PER_POD is true, but FLOE_SIDECAR_POD_UID")
