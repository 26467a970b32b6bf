"""A cluster that stays up between two commands: `start` leaves it running in the background, `stop` ends it.

The background process is `python -m tests.e2e.cluster up --node`, which cleans up when it is asked to end. Its logs,
certificates and kubeconfig are in the cache folder until the next start.
"""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.e2e.cluster.binaries import cache_folder
from tests.e2e.cluster.node import NodeError, clean_up, require_root
from tests.e2e.cluster.processes import RunningProcess

COMMAND = ("-m", "tests.e2e.cluster", "up", "--node")
START_SECONDS = 3600.0
"""The first start builds everything."""

STOP_SECONDS = 120.0


def start() -> Path:
    """The kubeconfig of a cluster that now runs in the background.

    Raises:
        NodeError: One runs already, or we are not root.
        ProcessError: It did not come up; the message ends with what it said.
    """
    require_root()
    if running := background():
        raise NodeError(f"a cluster is up already (process {running.pid}); its kubeconfig is {kubeconfig()}")
    shutil.rmtree(_folder(), ignore_errors=True)
    _folder().mkdir(parents=True)
    log = _folder() / "up.log"
    with log.open("ab") as output:
        popen = subprocess.Popen(
            [sys.executable, *COMMAND, "--folder", str(_folder())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (_folder() / "pid").write_text(str(popen.pid))
    process = RunningProcess("the cluster", popen, log)
    process.wait_until(lambda: "export KUBECONFIG=" in log.read_text(), "up", START_SECONDS)
    return kubeconfig()


def stop() -> bool:
    """Ends the cluster in the background and removes what a killed one left; whether there was one.

    Raises:
        NodeError: It has not ended in time, or a node that is not ours runs.
    """
    require_root()
    running = background()
    if running is not None:
        running.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while running.is_running() and running.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                raise NodeError(f"process {running.pid} has not ended after {STOP_SECONDS:g} s; see {_folder()}")
            time.sleep(0.1)
    clean_up()
    return running is not None


def background() -> psutil.Process | None:
    """The process that runs the cluster; None if there is none, or if its number is another's by now."""
    try:
        process = psutil.Process(int((_folder() / "pid").read_text()))
        return process if set(COMMAND) <= set(process.cmdline()) else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def kubeconfig() -> Path:
    """Where an administrator's kubeconfig is while the cluster is up."""
    return _folder() / "kubeconfig"


def _folder() -> Path:
    return cache_folder() / "cluster"
