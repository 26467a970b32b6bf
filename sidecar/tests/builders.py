"""Events, relays and requests for the sidecar's tests."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.request import urlopen
from uuid import UUID

from floe_sidecar.service import Sidecar
from floe_sidecar.settings import Settings

PRODUCER = "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/client/python"
PATIENCE_SECONDS = 20.0


def run_id(number: int) -> str:
    """A run's id that is the same for the same number."""
    return str(UUID(int=(number << 64) | 0x7000_8000_0000_0000_0000))


def event(of_run: int = 1, kind: str = "START", number: int = 0, **changes: object) -> dict[str, Any]:
    """A run event that follows the specification.

    `number` sets it apart from others of its run and kind; a change to `...` takes a field out.
    """
    document: dict[str, Any] = {
        "eventTime": f"2026-11-21T10:00:00.{number:06d}Z",
        "eventType": kind,
        "job": {"namespace": "sales/orders", "name": "demo.orders", "facets": {}},
        "producer": PRODUCER,
        "run": {"runId": run_id(of_run), "facets": {}},
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "inputs": [],
        "outputs": [],
    }
    return {name: value for name, value in {**document, **changes}.items() if value is not ...}


def body(of_run: int = 1, kind: str = "START", number: int = 0, **changes: object) -> bytes:
    """The same as bytes."""
    return json.dumps(event(of_run, kind, number, **changes)).encode()


def settings(folder: Path, **changes: Any) -> Settings:
    """Settings for a test: free ports, a spool in the folder, short waits."""
    defaults: dict[str, Any] = {
        "port": 0,
        "health_port": 0,
        "spool_directory": folder / "spool",
        "lineage_url": "http://127.0.0.1:9",
        "lineage_timeout_seconds": 5.0,
        "retry_base_seconds": 0.01,
        "retry_cap_seconds": 0.05,
        "shutdown_seconds": 0.1,
        "abort_open_runs": False,
    }
    return Settings(**{**defaults, **changes})


@asynccontextmanager
async def relay(folder: Path, **changes: Any) -> AsyncIterator[Sidecar]:
    """A relay in this process."""
    sidecar = Sidecar(settings(folder, **changes))
    await sidecar.start()
    try:
        yield sidecar
    finally:
        await sidecar.stop()


@dataclass(frozen=True)
class Answer:
    """A response as a client saw it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


async def ask(port: int, raw: bytes, *, answers: int = 1, chunks: list[bytes] | None = None) -> list[Answer]:
    """Sends bytes over one connection, in the given chunks if there are any, and reads that many answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for chunk in chunks if chunks is not None else [raw]:
            writer.write(chunk)
            await writer.drain()
            if chunks is not None:
                await asyncio.sleep(0)
        return [await asyncio.wait_for(read_answer(reader), PATIENCE_SECONDS) for _ in range(answers)]
    finally:
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Reads one response."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return Answer(int(head[0].split(" ")[1]), headers, content)


def request(content: bytes = b"", path: str = "/api/v1/lineage", method: str = "POST", **headers: str) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def post(port: int, content: bytes, path: str = "/api/v1/lineage", **headers: str) -> Answer:
    """Posts and gives the answer."""
    return (await ask(port, request(content, path, **headers)))[0]


async def accepted(sidecar: Sidecar, content: bytes) -> None:
    """Posts until the relay takes it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (await post(sidecar.application.port, content)).status != 201:
        assert time.monotonic() < deadline, "the relay took nothing"
        await asyncio.sleep(0.05)


async def get(port: int, path: str) -> Answer:
    """Gets and gives the answer."""
    return (await ask(port, request(path=path, method="GET")))[0]


async def until(condition: Callable[[], bool], *, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen in time"
        await asyncio.sleep(0.005)


class RelayProcess:
    """A relay in a process of its own, as a pod runs it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "floe_sidecar"],
            env={"PATH": os.environ["PATH"], **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        self._errors: IO[bytes] = self.process.stderr
        self.lines: list[dict[str, Any]] = []
        while not (self.lines and self.lines[-1]["event"] == "ready"):
            line = self._errors.readline()
            assert line, f"the relay ended before it was ready: {self.lines}"
            self.lines.append(json.loads(line))
        self.port: int = self.lines[-1]["port"]
        self.health_port: int = self.lines[-1]["health_port"]

    def get(self, path: str) -> bytes:
        """What the health port answers."""
        with urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=10) as answer:
            content: bytes = answer.read()
            return content

    def status(self) -> dict[str, Any]:
        """The status document."""
        document: dict[str, Any] = json.loads(self.get("/status"))
        return document

    def end(self) -> tuple[int, list[dict[str, Any]]]:
        """Sends SIGTERM; gives the exit code and every log line."""
        self.process.terminate()
        self.lines += [json.loads(line) for line in self._errors.read().splitlines()]
        return self.process.wait(PATIENCE_SECONDS), self.lines

    def kill(self) -> None:
        """Ends it without a chance to do anything."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        self._errors.close()


@contextmanager
def relay_process(folder: Path, **variables: str) -> Iterator[RelayProcess]:
    """A relay process that is ready; killed at the end if it still runs."""
    environment = {
        "FLOE_SIDECAR_PORT": "0",
        "FLOE_SIDECAR_HEALTH_PORT": "0",
        "FLOE_SIDECAR_SPOOL_DIRECTORY": str(folder / "spool"),
        "FLOE_SIDECAR_RETRY_BASE_SECONDS": "0.01",
        "FLOE_SIDECAR_RETRY_CAP_SECONDS": "0.05",
        "FLOE_SIDECAR_SHUTDOWN_SECONDS": "5",
        "FLOE_SIDECAR_ABORT_OPEN_RUNS": "false",
    }
    process = RelayProcess({**environment, **{f"FLOE_SIDECAR_{name}": value for name, value in variables.items()}})
    try:
        yield process
    finally:
        process.kill()
