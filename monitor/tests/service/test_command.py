"""`floe monitor run` as a process of its own."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.cli.main import run
from monitor.tests.sources import make_orders

pytestmark = pytest.mark.requirement("FR-001", "FR-044")
CONTRACTS = Path(__file__).parents[3] / "examples" / "contracts"
MANIFEST = """\
apiVersion: floe.dev/v1
kind: Manifest
metadata: {{name: test}}
plugins:
  catalog: {{type: duckdb, config: {{path: {path}}}}}
  compute: {{type: duckdb, config: {{path: {path}}}}}
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    warehouse = tmp_path / "warehouse.duckdb"
    make_orders(warehouse, age=timedelta(minutes=5))
    file = tmp_path / "manifest.yaml"
    file.write_text(MANIFEST.format(path=warehouse))
    return file


@contextmanager
def monitor(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "floe_monitor", "--port", "0", *arguments]
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "COLUMNS": "300"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: "subprocess.Popen[str]", pattern: str) -> "tuple[re.Match[str], str]":
    """Reads its output up to a line that fits."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if match := re.search(pattern, line):
            return match, seen
    raise AssertionError(f"it ended without {pattern!r}:\n{seen}")


def test_it_watches_until_sigterm_and_leaves_nothing_behind(manifest: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    options = ("--manifest", str(manifest), "--contracts", str(CONTRACTS), "--data-dir", str(data), "--interval", "0.2")
    with monitor(*options) as process:
        named, _ = read_until(process, r"Embedded PostgreSQL, data in (.*)")
        assert named[1] == str(data)
        watching, _ = read_until(process, r"Watching 1 contract\(s\); (http://[\d.:]+)/metrics")
        read_until(process, r"pass +sales\.shop/orders:1\.0\.0 +freshness +orders\.updated_at")
        with urllib.request.urlopen(f"{watching[1]}/readyz", timeout=5) as ready:  # noqa: S310 - http, our own
            assert ready.status == 200
        server = psutil.Process(int((data / "pgdata" / "postmaster.pid").read_text().split()[0]))
        process.send_signal(signal.SIGTERM)
        read_until(process, r"The monitor has stopped\.")
        assert process.wait(20) == 0
    assert not server.is_running()


@pytest.mark.requirement("CC-6.1", "HOUSE-12")
def test_asked_to_be_quiet_it_prints_the_log_alone(manifest: Path, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    options = ("--manifest", str(manifest), "--contracts", str(CONTRACTS), "--data-dir", data, "--interval", "0.2")
    with monitor(*options, "--quiet") as process:
        _, said = read_until(process, "monitor.serving")
        told = json.loads(said.splitlines()[-1])
        _wait_for_a_check(f"http://127.0.0.1:{told['port']}/readyz")
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == 0
    assert told["contracts"] == 1
    assert all("event" in json.loads(line) for line in (said + rest).splitlines())


def _wait_for_a_check(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as ready:  # noqa: S310 - http, our own
            if json.load(ready)["last_checks"]:
                return
        time.sleep(0.05)
    raise AssertionError(f"{url} knows of no check")


def test_a_second_monitor_on_the_same_folder_is_refused(manifest: Path, tmp_path: Path) -> None:
    options = ("--manifest", str(manifest), "--contracts", str(CONTRACTS), "--data-dir", str(tmp_path / "data"))
    with monitor(*options) as first:
        read_until(first, "Watching")
        with monitor(*options) as second:
            read_until(second, r"The process \d+ uses this data directory")
            assert second.wait(20) == 1
        first.send_signal(signal.SIGINT)
        assert first.wait(20) == 0


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        pytest.param(("plugins:", "plugin:"), (), "There is no key `plugin` here", id="a wrong key"),
        pytest.param(("compute:", "quality:"), (), "names no compute", id="no compute"),
        pytest.param(("apiVersion", "monitoring: {{enabled: false}}\napiVersion"), (), "switched off", id="off"),
        pytest.param(("", ""), ("--contracts", "/nowhere/at/all"), "no such directory", id="no contracts"),
        pytest.param(("", ""), ("--database-url", "sqlite://"), "not one of PostgreSQL", id="another database"),
    ],
)
def test_what_is_wrong_is_told_with_exit_code_1(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, str],
    options: tuple[str, ...],
    says: str,
) -> None:
    file = tmp_path / "manifest.yaml"
    file.write_text(MANIFEST.replace(*change, 1).format(path=tmp_path / "w.duckdb"))
    arguments = ["--manifest", str(file), "--contracts", str(CONTRACTS), *options]
    if "--database-url" not in options:
        arguments += ["--database-url", "postgresql://floe@127.0.0.1:9/none"]
    assert run(["monitor", "run", *arguments]) == 1
    assert says in capsys.readouterr().err


@pytest.mark.requirement("HOUSE-10")
async def test_a_schema_that_is_too_new_is_told_with_exit_code_1(
    manifest: Path, database: str, engine: AsyncEngine
) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await connection.execute(text("COMMENT ON TABLE alembic_version IS 'readable from 9999'"))
    options = ("--manifest", str(manifest), "--contracts", str(CONTRACTS), "--database-url", database)
    with monitor(*options) as process:
        _, seen = read_until(process, "Run the newer version again")
        assert process.wait(20) == 1
    assert "has brought the database to schema 9999" in seen


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["monitor", "run", "--help"]) == 0
    shown = capsys.readouterr().out
    for option in ("--manifest", "--contracts", "--database-url", "--data-dir", "--host", "--port", "--interval"):
        assert option in shown
