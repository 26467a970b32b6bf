"""The entry of the `floe` command: runs one command and turns every outcome into an exit code.

| outcome                                   | exit code |
|-------------------------------------------|-----------|
| done                                      | 0         |
| wrong usage, a wrong file or setting      | 1         |
| something failed while running            | 2         |
| unexpected: a defect of floe or a plugin  | 99        |
| interrupted (Ctrl-C)                      | 130       |
"""

import io
import os
import sys
from collections.abc import Sequence

import click

from floe_core.cli.errors import show_error, show_unexpected, show_usage_error
from floe_core.cli.group import RootGroup
from floe_core.errors import EXIT_CONFIGURATION, EXIT_EXECUTION, EXIT_UNEXPECTED, FloeError
from floe_core.logging import configure_logging

_EXIT_INTERRUPTED = 130


@click.group(cls=RootGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="floe-core", prog_name="floe", message="%(prog)s %(version)s")
@click.option(
    "--debug", is_flag=True, envvar="FLOE_DEBUG", help="Log everything, and show a traceback where one helps."
)
def floe(*, debug: bool) -> None:
    """Configure telemetry and lineage of pipeline pods, and watch the contracts of their data."""
    configure_logging("debug" if debug else "warning", "console")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command of the installed script; ends the process."""
    _make_output_take_any_text()
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def kubectl() -> None:
    """The script `kubectl-floe`, which makes `kubectl floe` the same command; ends the process."""
    _make_output_take_any_text()
    sys.exit(run(sys.argv[1:], program="kubectl floe"))


def run(arguments: Sequence[str], program: str = "floe") -> int:
    """Runs a command and returns its exit code; errors are told on standard error.

    Args:
        arguments: The words after the program's name.
        program: What the program is called in help and errors.
    """
    try:
        result = floe.main(args=list(arguments), prog_name=program, standalone_mode=False)
    except FloeError as error:
        show_error(error)
        return error.exit_code
    except click.exceptions.Abort:
        return _EXIT_INTERRUPTED
    except click.ClickException as error:
        show_usage_error(error)
        return EXIT_CONFIGURATION
    except BrokenPipeError:
        # The reader has seen enough (`floe … | head`); the interpreter must not complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_EXECUTION
    except Exception as error:  # noqa: BLE001 - the outermost edge: told, with how to report it
        show_unexpected(error, debug="--debug" in arguments or _wanted_by_environment())
        return EXIT_UNEXPECTED
    # click returns the code of `ctx.exit(n)` here, and a command's own value otherwise.
    return result if isinstance(result, int) else 0


def _wanted_by_environment() -> bool:
    """FLOE_DEBUG as click reads it: `0`, `false`, `no` and `off` are no."""
    return os.environ.get("FLOE_DEBUG", "").strip().lower() not in {"", "0", "f", "false", "n", "no", "off"}


def _make_output_take_any_text() -> None:
    """YAML and JSON are UTF-8 whatever the locale; a terminal that cannot show a character gets its escape."""
    if sys.stdout is None:  # closed by the caller (`>&-`)
        sys.stdout = io.StringIO()
    elif isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.isatty():
        sys.stdout.reconfigure(errors="backslashreplace")
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
