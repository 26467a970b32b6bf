"""The embedded PostgreSQL."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from floe_core.errors import ConfigurationError, ExecutionError
from floe_monitor.store.embedded import default_directory, embedded_server

pytestmark = pytest.mark.requirement("HOUSE-10")


async def one(url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("SELECT 1")
    finally:
        await connection.close()


async def test_it_keeps_its_data_from_one_start_to_the_next(tmp_path: Path) -> None:
    with embedded_server(tmp_path / "data", ("fsync=off",)) as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        await connection.close()
    assert not psutil.pid_exists(server.pid)
    with embedded_server(tmp_path / "data", ("fsync=off",)) as server:
        connection = await asyncpg.connect(server.url)
        assert await connection.fetchval("SELECT n FROM kept") == 7
        await connection.close()


def test_a_second_process_on_the_same_folder_is_told_who_uses_it(tmp_path: Path) -> None:
    with (
        embedded_server(tmp_path, ("fsync=off",)),
        pytest.raises(ConfigurationError, match=f"process {os.getpid()}"),
        embedded_server(tmp_path),
    ):
        pytest.fail("two servers on one folder")


def test_data_of_another_version_is_refused_with_both_versions(tmp_path: Path) -> None:
    (tmp_path / "pgdata").mkdir()
    (tmp_path / "pgdata" / "PG_VERSION").write_text("12\n")
    with (
        pytest.raises(ConfigurationError, match=r"written by PostgreSQL 12, installed is \d+"),
        embedded_server(tmp_path),
    ):
        pytest.fail("it started")


async def test_a_start_that_was_interrupted_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "pgdata.new").mkdir()
    (tmp_path / "pgdata.new" / "half").write_text("done")
    with embedded_server(tmp_path, ("fsync=off",)) as server:
        assert await one(server.url) == 1
    assert not (tmp_path / "pgdata.new").exists()


async def test_a_path_that_is_too_long_for_a_socket_works(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 30)
    with embedded_server(deep, ("fsync=off",)) as server:
        assert not server.socket_folder.is_relative_to(deep)
        assert await one(server.url) == 1
    assert not server.socket_folder.exists()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ExecutionError, match="no_such_setting"), embedded_server(tmp_path, ("no_such_setting=1",)):
        pytest.fail("it started")


def test_nobody_else_can_enter_the_socket_folder(tmp_path: Path) -> None:
    with embedded_server(tmp_path, ("fsync=off",)) as server:
        assert server.socket_folder.stat().st_mode & 0o077 == 0


def test_it_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from floe_monitor.store.embedded import embedded_server\n"
        "with embedded_server(Path(sys.argv[1]), ('fsync=off',)) as server:\n"
        "    print(server.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        assert psutil.pid_exists(server)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while psutil.pid_exists(server):
        assert time.monotonic() < deadline, "PostgreSQL has outlived its parent"
        time.sleep(0.02)
    with embedded_server(tmp_path, ("fsync=off",)) as again:
        assert psutil.pid_exists(again.pid)


def test_the_default_folder_follows_the_users_convention(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "floe-monitor"


_NAMELESS = 4242
"""A user that no /etc/passwd has."""


def _start_as_nameless(folder: Path) -> "subprocess.CompletedProcess[str]":
    """One start of the server, by a user without a name."""
    program = (
        "import os, sys; from pathlib import Path; from floe_core.errors import FloeError\n"
        "from floe_monitor.store.embedded import default_directory, embedded_server\n"
        f"os.setgroups([]); os.setgid({_NAMELESS}); os.setuid({_NAMELESS})\n"
        "os.environ.pop('HOME', None); os.environ.pop('XDG_DATA_HOME', None)\n"
        "try:\n"
        "    with embedded_server(Path(sys.argv[1]) if sys.argv[1:] else default_directory(), ('fsync=off',)):\n"
        "        print('it runs')\n"
        "except FloeError as error:\n"
        "    print(error)\n"
    )
    arguments = [] if folder == Path() else [str(folder)]
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without a name")


@needs_root
@pytest.mark.requirement("FR-001")
def test_a_user_without_a_name_is_told_before_anything_is_written(open_folder: Path) -> None:
    ran = _start_as_nameless(open_folder / "data")

    assert f"The user {_NAMELESS} has no entry in /etc/passwd" in ran.stdout, ran.stderr
    assert "--database-url" in ran.stdout
    assert not (open_folder / "data" / "pgdata").exists()


@needs_root
@pytest.mark.requirement("FR-001")
def test_a_user_without_a_home_is_told_so() -> None:
    ran = _start_as_nameless(Path())

    assert f"The user {_NAMELESS} has no home directory" in ran.stdout, ran.stderr


@needs_root
@pytest.mark.requirement("FR-001")
def test_a_directory_that_was_made_before_serves_a_user_without_a_name_whatever_its_mount_did(
    open_folder: Path,
) -> None:
    data = open_folder / "data"
    with embedded_server(data, ("fsync=off",)):
        pass
    for path in (data, *data.rglob("*")):
        os.lchown(path, _NAMELESS, _NAMELESS)
        if path.is_dir():
            path.chmod(0o2770)  # as the kubelet leaves it for a pod with an fsGroup

    assert _start_as_nameless(data).stdout == "it runs\n"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user can enter; pytest's own are its user's alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder
