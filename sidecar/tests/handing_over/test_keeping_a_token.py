"""A file with a token follows the gateway's keys, for a pod that never sees them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from floe_sidecar.token_file import LOOK_SECONDS, keep, renew
from floe_sidecar.tokens import issue, namespace_of
from sidecar.tests.gateways import KEY, OTHER_KEY, written

pytestmark = pytest.mark.requirement("HOUSE-7")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "token"


def kept(keys: Path, file: Path, *steps: Callable[[], object]) -> tuple[list[str], list[str]]:
    """What the file held after each look, and the complaints; the steps happen in between."""
    held: list[str] = []
    complaints: list[str] = []
    following: Iterator[Callable[[], object]] = iter(steps)

    def is_over(seconds: float) -> bool:
        assert seconds == LOOK_SECONDS
        held.append(file.read_text() if file.exists() else "")
        step = next(following, None)
        if step is not None:
            step()
        return step is None

    keep(keys, file, "sales", is_over=is_over, complain=complaints.append)
    return held, complaints


def test_a_rotated_key_gives_another_token_without_a_restart(keys: Path, file: Path) -> None:
    written(keys, KEY)
    held, complaints = kept(keys, file, lambda: written(keys, f"{OTHER_KEY}\n{KEY}"), lambda: written(keys, OTHER_KEY))
    assert held == [issue(KEY, "sales"), issue(OTHER_KEY, "sales"), issue(OTHER_KEY, "sales")]
    assert complaints == []


def test_keys_that_come_later_are_waited_for(keys: Path, file: Path) -> None:
    held, complaints = kept(keys, file, lambda: None, lambda: written(keys, KEY))
    assert held == ["", "", issue(KEY, "sales")]
    assert complaints == [f"{keys}: No such file or directory"]


@pytest.mark.parametrize("broken", [b"", b"hunter2", b"\xff\xfe"])
def test_keys_that_cannot_be_used_leave_the_last_token_and_are_not_shown(keys: Path, file: Path, broken: bytes) -> None:
    written(keys, KEY)
    held, complaints = kept(keys, file, lambda: keys.write_bytes(broken), keys.unlink)
    assert held == [issue(KEY, "sales")] * 3
    assert (len(complaints), "hunter2" in "".join(complaints)) == (2, False)


def test_a_file_that_is_as_it_should_be_is_left_alone(keys: Path, file: Path) -> None:
    written(keys, KEY)
    renew(keys, file, "sales")
    before = file.stat().st_ino
    renew(keys, file, "sales")
    assert file.stat().st_ino == before
    assert sorted(one.name for one in file.parent.iterdir()) == ["keys", "token"]


def test_the_command_writes_the_file_and_ends_when_it_is_asked_to(keys: Path, file: Path) -> None:
    written(keys, KEY)
    command = [sys.executable, "-m", "floe_sidecar.tokens", "--keys", str(keys), "--keep", str(file), "sales"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={})
    try:
        deadline = time.monotonic() + 30
        while not file.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        told = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, told) == (0, (b"", b""))
    assert namespace_of(file.read_text(), [KEY]) == "sales"


@pytest.mark.parametrize("names", [["sales", "finance"], ["Sales.EU"]])
def test_a_token_is_kept_for_one_namespace_only(keys: Path, file: Path, names: list[str]) -> None:
    written(keys, KEY)
    command = [sys.executable, "-m", "floe_sidecar.tokens", "--keys", str(keys), "--keep", str(file), *names]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert (found.returncode, "--keep is for one namespace" in found.stderr, file.exists()) == (2, True, False)
