"""Building once: cached by what it is made from, never half, never twice at a time, clear when Go is missing."""

import io
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.cluster.binaries import (
    CERT_MANAGER,
    COLLECTOR,
    ETCD,
    HELM,
    JAEGER,
    KUBERNETES,
    OLDER_KUBERNETES,
    Build,
    BuildError,
    MissingToolError,
    cache_folder,
    ensure,
    require_go,
)

pytestmark = pytest.mark.requirement("CC-6.1")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and a Go that is recent enough."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _put_go_on_path(tmp_path / "bin", "go1.26.3", monkeypatch)
    return tmp_path / "cache" / "floe-injector" / "e2e"


def _put_go_on_path(folder: Path, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    go = folder / "go"
    go.write_text(f"#!/bin/sh\necho {version}\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def _build(compile_into: Callable[[Path], None]) -> Build:
    return Build("etcd", "1.0", programs=("etcd",), modules=("etcd",), compile=compile_into)


def _writes_a_program(folder: Path) -> None:
    program = folder / "etcd"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)


def test_a_program_is_built_once_and_then_taken_from_the_cache(cache: Path) -> None:
    built: list[Path] = []

    def compile_into(folder: Path) -> None:
        built.append(folder)
        _writes_a_program(folder)

    first, second = ensure(_build(compile_into)), ensure(_build(compile_into))

    assert first == second == cache / _build(compile_into).key
    assert (first / "etcd").is_file()
    assert len(built) == 1


def test_another_version_is_another_build_beside_the_first(cache: Path) -> None:
    build = _build(_writes_a_program)

    folders = {ensure(build), ensure(replace(build, version="1.1"))}

    assert {folder.name.rsplit("-", 1)[0] for folder in folders} == {"etcd-1.0", "etcd-1.1"}
    assert all(folder.parent == cache for folder in folders)


def test_a_build_that_fails_leaves_nothing_in_the_cache(cache: Path) -> None:
    def fails_half_way(folder: Path) -> None:
        _writes_a_program(folder)
        raise BuildError("no such module")

    with pytest.raises(BuildError, match="no such module"):
        ensure(_build(fails_half_way))

    assert [path.name for path in cache.iterdir()] == ["etcd.lock"]


def test_a_build_without_one_of_its_programs_is_an_error() -> None:
    with pytest.raises(BuildError, match="left no etcd"):
        ensure(_build(lambda _: None))


def test_two_runs_at_once_share_one_build(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()  # capsys would lose what is written while it is read
    monkeypatch.setattr(sys, "stderr", told)
    inside, proceed = threading.Event(), threading.Event()
    built: list[Path] = []

    def compile_slowly(folder: Path) -> None:
        built.append(folder)
        inside.set()
        assert proceed.wait(10)
        _writes_a_program(folder)

    runs = [threading.Thread(target=ensure, args=[_build(compile_slowly)]) for _ in range(2)]
    runs[0].start()
    assert inside.wait(10)
    runs[1].start()
    _wait_until_told("waiting for another run that builds etcd", told)
    proceed.set()
    for run in runs:
        run.join(10)

    assert not any(run.is_alive() for run in runs)
    assert len(built) == 1


def _wait_until_told(line: str, told: io.StringIO) -> None:
    deadline = time.monotonic() + 10
    while line not in told.getvalue():
        assert time.monotonic() < deadline, told.getvalue()
        time.sleep(0.01)  # a turn for the thread that tells


def test_a_machine_without_go_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MissingToolError, match=r"no `go` is on PATH\. Install Go 1\.26 or newer"):
        ensure(_build(_writes_a_program))


@pytest.mark.parametrize("version", ["go1.19.8", "go1.25.9", "devel"])
def test_a_go_that_is_too_old_is_told_with_its_version(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put_go_on_path(tmp_path / "bin", version, monkeypatch)

    with pytest.raises(MissingToolError, match=rf"says '{version}'. Install Go 1\.26 or newer"):
        require_go()


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")

    assert cache_folder() == Path.home() / ".cache" / "floe-injector" / "e2e"


@pytest.mark.parametrize(
    "build", [ETCD, KUBERNETES, COLLECTOR, HELM, JAEGER, OLDER_KUBERNETES, CERT_MANAGER], ids=lambda build: build.name
)
def test_every_module_pins_the_version_that_its_build_names(build: Build) -> None:
    modules = Path(__file__).parent / "cluster" / "go"
    pins = "".join((modules / module / "go.mod").read_text() for module in build.modules)

    assert f" v{build.version}" in pins
    assert all((modules / module / "go.sum").stat().st_size for module in build.modules)
