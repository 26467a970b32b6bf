"""What the shell completes, what kubectl is answered, and who sees progress."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from floe_core.cli.completion_commands import completions
from floe_core.cli.main import run
from floe_core.cli.progress import progress

pytestmark = pytest.mark.requirement("CC-4.4")

Captured = pytest.CaptureFixture[str]
SCRIPTS = Path(sys.executable).parent


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_each_shell_gets_its_text(shell: str, capsys: Captured) -> None:
    assert run(["completion", shell]) == 0
    assert "_FLOE_COMPLETE" in capsys.readouterr().out


def test_bash_completes_what_the_printed_text_makes_it_complete() -> None:
    script = f"""
        PATH={SCRIPTS}:$PATH
        eval "$(floe completion bash 2>/dev/null)"
        COMP_WORDS=(floe man) COMP_CWORD=1
        _floe_completion floe
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["/bin/bash", "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["manifest"]


def test_a_shell_that_we_do_not_know_is_a_usage_error(capsys: Captured) -> None:
    assert run(["completion", "tcsh"]) == 1
    assert "'bash', 'zsh', 'fish'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["man"], ["manifest\tCheck a platform manifest; print its schema.", ":4"]),
        (["manifest", "check", "--wi"], ["--without-plugins", ":4"]),
        (["manifest", "check", ""], [":0"]),
        (["no-such-command", ""], None),
    ],
    ids=["a command", "an option", "a file is the shell's", "an unknown command completes as the root"],
)
def test_kubectl_is_answered_as_cobra_answers(words: list[str], expected: list[str] | None) -> None:
    found = completions(words)
    assert found[-1].startswith(":")
    if expected is not None:
        assert [line.split("\t")[0] for line in found] == [line.split("\t")[0] for line in expected]


def test_kubectl_without_a_word_is_told_every_command() -> None:
    assert {"completion", "manifest", "plugins"} <= {line.split("\t")[0] for line in completions([])}


@pytest.mark.parametrize(
    ("script", "arguments", "begins"),
    [
        ("kubectl-floe", ["--help"], "Usage: kubectl floe"),
        ("kubectl_complete-floe", ["manif"], "manifest\t"),
    ],
)
def test_kubectl_finds_the_command_and_its_completion(script: str, arguments: list[str], begins: str) -> None:
    done = subprocess.run([SCRIPTS / script, *arguments], check=True, capture_output=True, text=True)
    assert done.stdout.startswith(begins)


def test_progress_is_one_line_on_a_terminal_and_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress() as told:
        told("first")
        told("second")
    shown = terminal.getvalue()
    assert "first" in shown
    assert "second" in shown
    assert "\n" not in shown
    assert shown.endswith("\r\x1b[K")


def test_progress_is_silent_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stderr", pipe)
    with progress() as told:
        told("first")
    assert pipe.getvalue() == ""
