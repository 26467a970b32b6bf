"""`floe completion`: the text that makes a shell complete the command; and completion below kubectl."""

import sys
from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete, get_completion_class

from floe_core.errors import ConfigurationError

_VARIABLE = "_FLOE_COMPLETE"
_NO_FILES = 4
"""cobra's ShellCompDirectiveNoFileComp; 0 lets the shell complete files."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete floe's commands and options with the tab key.

    \b
    bash, in ~/.bashrc:            eval "$(floe completion bash)"
    zsh, in ~/.zshrc:              eval "$(floe completion zsh)"
    fish, once:                    floe completion fish > ~/.config/fish/completions/floe.fish

    Below kubectl (`kubectl floe`) nothing has to be set up if kubectl's own completion is.
    """  # noqa: D301 - click's own mark of what it must not wrap
    from floe_core.cli.main import floe  # noqa: PLC0415 - it imports this module when it is asked for

    found = get_completion_class(shell)
    if found is None:
        raise ConfigurationError(f"There is no completion for {shell}.")
    click.echo(found(floe, {}, "floe", _VARIABLE).source())


def kubectl_complete() -> None:
    """The script `kubectl_complete-floe`, which kubectl asks with the words after `kubectl floe`.

    Answers as cobra does: a completion on each line, its description after a tab, and a directive at the end.
    """
    click.echo("\n".join(completions(sys.argv[1:])))


def completions(words: Sequence[str]) -> list[str]:
    """The lines for kubectl; the last of the words is not complete yet."""
    from floe_core.cli.main import floe  # noqa: PLC0415 - as above

    *done, incomplete = words or [""]
    found = ShellComplete(floe, {}, "floe", _VARIABLE).get_completions(done, incomplete)
    files = any(item.type in ("file", "dir") for item in found)
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in found if item.type == "plain"]
    return [*lines, f":{0 if files else _NO_FILES}"]
