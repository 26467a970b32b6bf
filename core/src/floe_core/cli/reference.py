"""docs/command.md: every command and flag, read off the commands themselves."""

import inspect
import re
from collections.abc import Iterator, Sequence

import click

from floe_core.cli.main import floe

_INTRODUCTION = """\
# The command

Made by `make docs` from the commands themselves; a test keeps it true. Each command says the same with `--help`, and
`kubectl floe` is the same command. `floe completion --help` tells how the shell completes it.

| outcome | exit code |
|---|---|
| done | 0 |
| wrong usage, a wrong file or setting | 1 |
| something failed while running, or a check failed | 2 |
| unexpected: a defect of floe or a plugin | 99 |
| interrupted (Ctrl-C) | 130 |
"""

_AS_IT_IS = "\b"


def command_page() -> str:
    """The page, with the commands of every room that is installed."""
    return "\n".join([_INTRODUCTION, *_told(floe, ["floe"])]).rstrip() + "\n"


def _told(command: click.Command, path: Sequence[str]) -> Iterator[str]:
    context = click.Context(command, info_name=" ".join(path))
    yield f"## {' '.join(path)}"
    yield ""
    yield from ("```text", " ".join([*path, *command.collect_usage_pieces(context)]), "```", "")
    yield from _paragraphs(command.help or "")
    yield from _parameters(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            if (found := command.get_command(context, name)) is not None and not found.hidden:
                yield from _told(found, [*path, name])


def _paragraphs(text: str) -> Iterator[str]:
    """A help text as Markdown; a paragraph that click is told not to wrap is code."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith(_AS_IT_IS):
            yield from ("```", paragraph.removeprefix(_AS_IT_IS).strip("\n"), "```", "")
        else:
            yield from (" ".join(paragraph.split()), "")


def _parameters(command: click.Command, context: click.Context) -> Iterator[str]:
    # Not `get_params`: it adds the help flag, under names that depend on how the command was called first.
    records = [record for one in command.params if (record := one.get_help_record(context)) and record[1]]
    if not records:
        return
    yield from ("| flag | meaning |", "|---|---|")
    for flags, meaning in records:
        yield f"| `{_escaped(flags)}` | {_escaped(meaning)} |"
    yield ""


def _escaped(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
