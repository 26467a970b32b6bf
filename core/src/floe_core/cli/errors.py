"""How the command tells an error: what is wrong, where, what to do; on standard error and without a traceback."""

import sys
import traceback

import click
from rich.console import Console
from rich.text import Text

from floe_core.errors import FloeError, Problem, ValidationError, told
from floe_core.redaction import redact_text

REPORT_TO = "the project's issue tracker"


def show_error(error: FloeError) -> None:
    """What, where and what to do; each problem of a document on its own lines."""
    console = _console()
    problems = error.problems if isinstance(error, ValidationError) else ()
    _line(console, error.what, mark=True)
    if len(problems) > 1:
        for problem in problems:
            _show_problem(console, problem)
    else:
        _field(console, "where", str(error.where) if error.where else None)
        _field(console, "what to do", error.remedy)
    _field(console, "trace", error.trace_id)


def show_unexpected(error: BaseException, *, debug: bool) -> None:
    """An error that floe did not foresee, and how to report it."""
    console = _console()
    _line(console, f"Unexpected {type(error).__name__}: {told(error)}", mark=True)
    if debug:
        console.print(Text(redact_text("".join(traceback.format_exception(error)))))
    else:
        _field(console, "what to do", "Run the command again with `floe --debug …` to see where it happened.")
    _field(console, "report it", f"to {REPORT_TO}, with the command, its output and `floe --version`.")


def show_usage_error(error: click.ClickException) -> None:
    """A command that was called in a way that it does not understand; without a command, what there is."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return
    _line(_console(), redact_text(error.format_message()), mark=True)
    context = getattr(error, "ctx", None)
    if isinstance(context, click.Context):
        _field(_console(), "what to do", f"See `{context.command_path} --help`.")


def show_warning(text: str) -> None:
    """Something that a person should know although the command goes on."""
    _console().print(Text.assemble(("! ", "yellow bold"), redact_text(text)))


def _show_problem(console: Console, problem: Problem) -> None:
    console.print(Text.assemble("  ", (f"{problem.where}", "bold")))
    for text, style in ((problem.what, ""), (problem.remedy, "dim")):
        if text:
            console.print(Text(f"    {redact_text(text)}", style=style))


def _line(console: Console, text: str, *, mark: bool) -> None:
    console.print(Text.assemble(("✗ " if mark else "", "red bold"), text))


def _field(console: Console, name: str, value: str | None) -> None:
    if value:
        console.print(Text.assemble(("  " + f"{name}: ".ljust(12), "dim"), value))


def _console() -> Console:
    # Made each time: tests and callers may exchange sys.stderr. Long lines are the terminal's to break.
    return Console(file=sys.stderr, soft_wrap=True, highlight=False)
