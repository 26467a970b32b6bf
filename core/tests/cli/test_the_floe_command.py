"""The floe command: what it prints where, its exit codes, and what it does with a broken room."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import click
import pytest
import structlog

from floe_core.cli.group import load_extensions
from floe_core.cli.main import floe, run
from floe_core.errors import (
    CompilationError,
    ConfigurationError,
    DbtError,
    FloeError,
    Location,
)
from floe_core.errors import (
    ConnectionError as FloeConnectionError,
)

pytestmark = pytest.mark.requirement("CC-5.2")

MINIMAL = "apiVersion: floe.dev/v1\nkind: Manifest\nmetadata: {name: acme}\n"

Captured = pytest.CaptureFixture[str]


def failing(error: BaseException) -> click.Command:
    """A command `boom` that raises."""

    @click.command("boom")
    def boom() -> None:
        raise error

    return boom


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command sets up logging for its whole process; here that process is pytest's."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def boom(request: pytest.FixtureRequest) -> Iterator[None]:
    """Adds a command that raises the parameter, for the test's time."""
    floe.commands["boom"] = failing(request.param)
    yield
    del floe.commands["boom"]


@pytest.mark.parametrize(
    ("boom", "code"),
    [
        (ConfigurationError("The file is wrong.", where=Location("floe.yaml", 3, 1), remedy="Mend it."), 1),
        (CompilationError("It does not compile."), 1),
        (FloeError("Something is wrong."), 1),
        (FloeConnectionError("Nothing answers."), 2),
        (DbtError("dbt failed."), 2),
        (RuntimeError("surprise"), 99),
        (click.UsageError("not so"), 1),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
    ],
    indirect=["boom"],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
@pytest.mark.usefixtures("boom")
@pytest.mark.requirement("CC-5.1", "CC-5.2")
def test_an_error_ends_the_command_with_its_exit_code(code: int, capsys: Captured) -> None:
    assert run(["boom"]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(
    "boom",
    [ConfigurationError("The file is wrong.", where=Location("floe.yaml", 3, 1), remedy="Mend [it].")],
    indirect=True,
)
@pytest.mark.usefixtures("boom")
def test_an_error_says_what_where_and_what_to_do(capsys: Captured) -> None:
    run(["boom"])
    assert capsys.readouterr().err == ("✗ The file is wrong.\n  where:      floe.yaml:3:1\n  what to do: Mend [it].\n")


@pytest.mark.parametrize("boom", [RuntimeError("password=hunter2")], indirect=True)
@pytest.mark.usefixtures("boom")
def test_an_unexpected_error_says_how_to_report_it_and_shows_a_traceback_only_when_debugging(capsys: Captured) -> None:
    assert run(["boom"]) == 99
    quiet = capsys.readouterr().err
    assert "Unexpected RuntimeError" in quiet
    assert "report it" in quiet
    assert "Traceback" not in quiet
    assert run(["--debug", "boom"]) == 99
    loud = capsys.readouterr().err
    assert "Traceback" in loud
    assert "hunter2" not in quiet + loud


def test_an_unknown_command_is_told_on_standard_error(capsys: Captured) -> None:
    assert run(["nope"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "No such command 'nope'" in printed.err


def test_the_version_and_the_help_are_printed(capsys: Captured) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("floe 0.")
    assert run(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(command in listed for command in ("config", "helm-values", "manifest", "plugins"))


def extension(monkeypatch: pytest.MonkeyPatch, name: str, value: object) -> EntryPoint:
    module = ModuleType(name)
    vars(module)["commands"] = value
    monkeypatch.setitem(sys.modules, name, module)
    return EntryPoint(name, f"{name}:commands", "floe.cli")


@pytest.mark.requirement("CC-4.4")
def test_a_room_adds_commands_and_a_broken_one_is_told_and_skipped(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    points = [
        extension(monkeypatch, "good_room", [click.Command("dance"), click.Group("sing")]),
        extension(monkeypatch, "single_room", click.Command("rest")),
        extension(monkeypatch, "odd_room", [3]),
        extension(monkeypatch, "odder_room", 3),
        extension(monkeypatch, "rude_room", [click.Command("manifest"), click.Command("dance")]),
        EntryPoint("missing", "a_room_that_is_not_there:commands", "floe.cli"),
    ]
    assert sorted(load_extensions(points)) == ["dance", "rest", "sing"]
    told = capsys.readouterr().err
    assert "a_room_that_is_not_there:commands are skipped: ModuleNotFoundError" in told
    assert told.count("neither a click command nor a list of them") == 2
    assert told.count("the name is taken") == 2


def test_a_command_of_our_own_imports_no_room() -> None:
    import subprocess  # noqa: PLC0415 - a process of its own shows what is imported

    script = (
        "import sys; from floe_core.cli.main import run; run(['config', 'show']);"
        "loaded = {name.partition('.')[0] for name in sys.modules};"
        "sys.exit(str(loaded & {'floe_webhook', 'floe_monitor', 'aiohttp', 'sqlalchemy', 'openlineage'} or ''))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == ""


@pytest.mark.requirement("CC-2.1")
def test_config_show_prints_value_and_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENLINEAGE_URL", "https://user:hunter2@lineage.example")
    assert run(["config", "show", "--set", "service-name=mine"]) == 0
    table = capsys.readouterr().out
    assert any(line.split() == ["service_name", "mine", "command", "line"] for line in table.splitlines())
    assert "hunter2" not in table
    assert run(["config", "show", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["lineage_url"] == {
        "value": "https://***@lineage.example",
        "source": "environment OPENLINEAGE_URL",
        "variable": "OPENLINEAGE_URL",
    }


def test_config_show_refuses_what_is_no_assignment(capsys: Captured) -> None:
    assert run(["config", "show", "--set", "nonsense"]) == 1
    assert "NAME=VALUE" in capsys.readouterr().err


@pytest.mark.requirement("HOUSE-8")
def test_manifest_schema_prints_a_schema(capsys: Captured) -> None:
    assert run(["manifest", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Manifest"


@pytest.mark.requirement("HOUSE-8")
def test_manifest_check_tells_every_problem_with_its_place(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "floe.yaml"
    file.write_text(MINIMAL + "logging: {levle: info}\ninjection: {telemetry: nowhere}\n")
    assert run(["manifest", "check", str(file)]) == 1
    told = capsys.readouterr().err
    assert f"{file}:4:11 (logging.levle)" in told
    assert "Did you mean `level`?" in told
    assert f"{file}:5:13 (injection.telemetry)" in told


@pytest.mark.requirement("HOUSE-8", "HOUSE-7")
def test_manifest_check_asks_the_plugins(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "floe.yaml"
    file.write_text(MINIMAL + "plugins:\n  telemetry_backend: {type: jager}\n")
    assert run(["manifest", "check", str(file)]) == 1
    told = capsys.readouterr().err
    assert "floe.yaml:5:23" in told
    assert "Did you mean `jaeger`?" in told
    assert run(["manifest", "check", "--without-plugins", str(file)]) == 0


@pytest.mark.requirement("HOUSE-8")
def test_manifest_check_shows_the_text_that_replaces_an_old_shape(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "floe.yaml"
    file.write_text(MINIMAL + "lineage_backend: {type: marquez}\n")
    assert run(["manifest", "check", "--without-plugins", str(file)]) == 0
    printed = capsys.readouterr()
    assert "plugins:\n      lineage_backend:\n        type: marquez" in printed.err
    assert printed.out == f"{file}: the manifest of acme is right.\n"


@pytest.mark.parametrize("which", ["telemetry", "lineage"])
def test_helm_values_need_a_backend_in_the_manifest(which: str, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "floe.yaml"
    file.write_text(MINIMAL)
    assert run(["helm-values", which, "--manifest", str(file)]) == 1
    assert f"chooses no {which} backend" in capsys.readouterr().err


@pytest.mark.requirement("CC-4.4")
def test_plugins_check_tells_what_is_installed(capsys: Captured) -> None:
    assert run(["plugins", "check", "jager"]) == 1
    assert "Did you mean `jaeger`?" in capsys.readouterr().err
    assert run(["plugins", "check", "duckdb"]) == 1
    assert "catalog, compute" in capsys.readouterr().err


def test_without_a_command_it_says_what_there_is(capsys: Captured) -> None:
    assert run([]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Usage: floe")
    assert "manifest" in printed.err


@pytest.mark.parametrize("boom", [RuntimeError("surprise")], indirect=True)
@pytest.mark.usefixtures("boom")
@pytest.mark.parametrize(("variable", "traceback"), [("0", False), ("false", False), ("", False), ("1", True)])
def test_the_debug_variable_is_read_as_a_switch(
    variable: str, traceback: bool, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("FLOE_DEBUG", variable)
    assert run(["boom"]) == 99
    assert ("Traceback" in capsys.readouterr().err) is traceback


@pytest.mark.requirement("CC-4.4")
def test_a_plugin_of_the_old_group_is_named_with_its_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    installed = tmp_path / "relic-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: relic\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[floe.observability]\nrelic = relic:Plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert run(["plugins", "check", "relic"]) == 1
    told = capsys.readouterr().err
    assert "deprecated group floe.observability" in told
    assert "floe.telemetry_backends" in told


def test_a_result_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).parent / "floe"),
        "config",
        "show",
        "--set",
        "service_name=é",
        "--format",
        "json",
    ]
    answer = subprocess.run(
        command, capture_output=True, check=True, cwd=tmp_path, env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )
    assert json.loads(answer.stdout)["service_name"]["value"] == "é"


def test_a_closed_output_is_no_defect(tmp_path: Path) -> None:
    floe_script = Path(sys.executable).parent / "floe"
    answer = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" config show >&-', floe_script], capture_output=True, check=False, cwd=tmp_path
    )
    assert (answer.returncode, answer.stderr) == (0, b"")
