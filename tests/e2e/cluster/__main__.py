"""The test bed by hand: `python -m tests.e2e.cluster build` and `… up`."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from tests.e2e.cluster.binaries import BUILDS, COLLECTOR, BuildError, MissingToolError, ensure, program
from tests.e2e.cluster.control_plane import KUBECONFIG_VARIABLE, Cluster, control_plane
from tests.e2e.cluster.processes import ProcessError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build every program that is not cached yet")
    commands.add_parser("up", help="start a control plane, print its KUBECONFIG, run until Ctrl-C")
    command = parser.parse_args(arguments).command
    try:
        if command == "build":
            _build()
        else:
            _up()
    except (MissingToolError, BuildError, ProcessError) as error:
        sys.stderr.write(f"e2e: {error}\n")
        return 1
    return 0


def _build() -> None:
    """Builds what the tests will need: with an existing cluster no control plane."""
    for build in (COLLECTOR,) if os.environ.get(KUBECONFIG_VARIABLE) else BUILDS:
        ensure(build)


def _up() -> None:
    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)
    try:
        with tempfile.TemporaryDirectory(prefix="floe-e2e-") as folder, control_plane(Path(folder)) as cluster:
            _tell(cluster)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")


def _tell(cluster: Cluster) -> None:
    sys.stdout.write(f"export KUBECONFIG={cluster.kubeconfig}\n")
    sys.stdout.flush()
    sys.stderr.write(
        f"The API server is ready; kubectl is {program('kubectl')}. Ctrl-C stops it and removes its data.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
