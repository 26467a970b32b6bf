"""Commands of the system that a node's set-up runs, one after the other."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class CommandError(Exception):
    """A command failed; the message has its last lines."""


def run(
    command: Sequence[str],
    *,
    standard_input: str | None = None,
    timeout_seconds: float = 60.0,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> str:
    """What a command writes to its standard output.

    Raises:
        CommandError: It ended with another status than 0.
    """
    ran = subprocess.run(
        list(command),
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        env=with_system_path(environment),
        cwd=folder,
        check=False,
    )
    if ran.returncode != 0:
        last = "\n".join((ran.stdout + ran.stderr).splitlines()[-30:])
        raise CommandError(f"`{' '.join(command)}` ended with {ran.returncode}:\n{last}")
    return ran.stdout


def with_system_path(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment, our own by default, whose PATH has the folders of an administrator's programs."""
    given = dict(os.environ if environment is None else environment)
    given["PATH"] = os.pathsep.join([given.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin"])
    return given
