"""The test bed by hand: `python -m tests.e2e.cluster build`, `… up`, `… start` and `… stop`."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from tests.e2e.cluster import by_hand, images
from tests.e2e.cluster.binaries import (
    CERT_MANAGER,
    COLLECTOR,
    CONTROL_PLANE_BUILDS,
    HELM,
    JAEGER,
    NODE_BUILDS,
    OLDER_KUBERNETES,
    BuildError,
    MissingToolError,
    ensure,
    program,
)
from tests.e2e.cluster.commands import CommandError
from tests.e2e.cluster.control_plane import KUBECONFIG_VARIABLE, control_plane
from tests.e2e.cluster.debian import require_packages
from tests.e2e.cluster.node import NodeError, node
from tests.e2e.cluster.processes import ProcessError
from tests.e2e.cluster.progress import say
from tools.image_requirements import ROOMS


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build every program and image that is not cached yet")
    up = commands.add_parser("up", help="start a control plane, print its KUBECONFIG, run until Ctrl-C")
    up.add_argument("--node", action="store_true", help="and a node that runs pods, with our images; needs root")
    up.add_argument(
        "--folder", type=Path, help="takes logs and certificates, and keeps them; a temporary one if absent"
    )
    commands.add_parser("start", help="the same with a node, in the background")
    commands.add_parser("stop", help="end what `start` has started, and remove everything of it")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "build":
            _build()
        elif chosen.command == "up":
            _up(chosen.folder, with_node=chosen.node)
        elif chosen.command == "start":
            _tell(by_hand.start(), "`make cluster-down` ends it")
        else:
            sys.stderr.write("the cluster is down\n" if by_hand.stop() else "no cluster was up\n")
    except (MissingToolError, BuildError, ProcessError, NodeError, CommandError) as error:
        sys.stderr.write(f"e2e: {error}\n")
        return 1
    return 0


def _build() -> None:
    """Builds what the tests will need: with an existing cluster no control plane, without root no node."""
    for build in (COLLECTOR, HELM):
        ensure(build)
    if os.environ.get(KUBECONFIG_VARIABLE):
        return
    for build in (*CONTROL_PLANE_BUILDS, OLDER_KUBERNETES, CERT_MANAGER):
        ensure(build)
    if os.geteuid() != 0:
        say("not root: the tests that run pods on a node will be skipped")
        return
    require_packages()
    for build in (*NODE_BUILDS, JAEGER):
        ensure(build)
    _archives()
    for image in ROOMS:  # a test compares them; a node need not wait for it
        images.layers_of_two_builds(image)


def _archives() -> list[Path]:
    return [images.base_archive(), *(images.archive_of(image) for image in ROOMS)]


def _up(folder: Path | None, *, with_node: bool) -> None:
    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)
    try:
        with ExitStack() as parts:
            if folder is None:
                folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="floe-e2e-")))
            if with_node:
                kubeconfig = _start_node(folder, parts)
            else:
                kubeconfig = parts.enter_context(control_plane(folder)).kubeconfig
            _tell(kubeconfig, "Ctrl-C stops it and removes its data")
            while True:
                signal.pause()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")


def _start_node(folder: Path, parts: ExitStack) -> Path:
    started = parts.enter_context(node(folder))
    for archive in _archives():
        started.runtime.load(archive)
    return started.cluster.kubeconfig


def _tell(kubeconfig: Path, ending: str) -> None:
    sys.stdout.write(f"export KUBECONFIG={kubeconfig}\n")
    sys.stdout.flush()
    sys.stderr.write(f"The API server is ready; kubectl is {program('kubectl')}. {ending}.\n")


if __name__ == "__main__":
    sys.exit(main())
