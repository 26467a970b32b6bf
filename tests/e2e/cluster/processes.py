"""Programs of the test bed as context managers: logged to a file, awaited by a condition, always stopped by pid."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
STOP_TIMEOUT_SECONDS = 20.0
_POLL_SECONDS = 0.05


class ProcessError(Exception):
    """A program ended or did not become ready in time; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A program that was started."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    def wait_until(self, condition: Callable[[], bool], what: str, timeout_seconds: float = 60.0) -> None:
        """Returns as soon as the condition holds.

        Raises:
            ProcessError: The program ended first, or the time is over.
        """
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if (status := self.popen.poll()) is not None:
                raise ProcessError(
                    f"{self.name} ended with {status} before it was {what}; its log ends:\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise ProcessError(
                    f"{self.name} was not {what} after {timeout_seconds:g} s; its log ends:\n{self.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def log_tail(self, lines: int = 30) -> str:
        """The last lines that it wrote."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> int:
        """Asks it to end with SIGTERM, kills it if it does not; gives its exit status."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self.popen.kill()
        return self.popen.wait()


@contextmanager
def running(
    name: str, command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[RunningProcess]:
    """Runs a program until the block is left, however that happens; to be entered by a thread that lives as long.

    Args:
        name: What messages call it.
        command: The program and its arguments.
        log: The file that takes its output.
        environment: Its whole environment; the caller's own by default.
    """
    with log.open("ab") as output:
        popen = subprocess.Popen(
            [*_ends_with_us(), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,  # Ctrl-C reaches us alone: the programs are then stopped in order
        )
    process = RunningProcess(name, popen, log)
    try:
        yield process
    finally:
        process.stop()


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def accepts_connections(port: int, host: str = LOOPBACK) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


def _ends_with_us() -> tuple[str, ...]:
    """A prefix through which the kernel ends a program when the thread that started it has ended, e.g. was killed.

    exec keeps the process id. Ordered stopping comes first, so nobody waits for KILL in an ordinary run.
    """
    setpriv = shutil.which("setpriv")
    return (setpriv, "--pdeathsig", "KILL") if setpriv else ()
