"""Starts programs of the demo, waits for them, and sees to it that none stays behind."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from examples.demo.narration import StepFailedError

_STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended."""

    exit_code: int
    seconds: float
    output: str


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on a port of 127.0.0.1."""
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex(("127.0.0.1", port)) == 0


def base_environment() -> dict[str, str]:
    """This process's environment without what would configure telemetry or lineage, so that only the pod speaks."""
    foreign = ("OTEL_", "OPENLINEAGE", "FLOE_", "DBT_", "AIRFLOW__")
    own = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return own | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{own.get('PATH', '')}"}


async def run(command: Sequence[str], *, environment: Mapping[str, str], folder: Path) -> Finished:
    """Runs a program to its end."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=base_environment() | dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Finished(process.returncode or 0, time.monotonic() - started, output.decode(errors="replace"))


class Service:
    """A program that runs until it is stopped."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log
        self.exit_code: int | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process.returncode is None

    async def stop(self) -> int:
        """SIGTERM, and the exit code; SIGKILL after 30 s."""
        if self.is_running:
            self._process.terminate()
        try:
            self.exit_code = await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            self.exit_code = await self._process.wait()
        return self.exit_code


@asynccontextmanager
async def service(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path
) -> AsyncIterator[Service]:
    """Starts a program and stops it on the way out, whatever happens."""
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=base_environment() | dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=asyncio.subprocess.STDOUT,
        )
    running = Service(process, log)
    try:
        yield running
    finally:
        await running.stop()


async def until(
    condition: Callable[[], Awaitable[object]], *, what: str, seconds: float = 30.0, program: Service | None = None
) -> None:
    """Waits for a condition; errors of a connection count as "not yet".

    Raises:
        StepFailedError: It did not come true in time, or the program that should make it true has ended.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            if await condition():
                return
        except (OSError, httpx.TransportError):
            pass
        if program is not None and not program.is_running:
            raise StepFailedError(f"{what}; the program has ended:\n{_tail(program.log)}")
        if time.monotonic() > deadline:
            raise StepFailedError(
                f"{what} did not happen within {seconds:.0f} s\n{_tail(program.log) if program else ''}"
            )
        await asyncio.sleep(0.05)


def _tail(log: Path, lines: int = 25) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
