"""`python -m floe_webhook` in a process of its own, awaited by its log."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from webhook.tests.waiting import until

MANIFEST = Path(__file__).parents[3] / "examples" / "manifest.yaml"


@dataclass(frozen=True, slots=True)
class Program:
    """A webhook that runs."""

    process: asyncio.subprocess.Process
    log: Path

    @property
    def serving(self) -> dict[str, Any] | None:
        """What it said when it began to listen."""
        return next((line for line in self.events() if line["event"] == "serving"), None)

    @property
    def port(self) -> int:
        """Of admissions, over TLS."""
        return int((self.serving or {})["port"])

    @property
    def health_port(self) -> int:
        """Of probes and metrics."""
        return int((self.serving or {})["health_port"])

    def stop(self) -> None:
        """Asks it to end, as the kubelet does."""
        self.process.send_signal(signal.SIGTERM)

    def text(self) -> str:
        """Its log."""
        return self.log.read_text()

    def events(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.text().splitlines() if line.endswith("}")]


@asynccontextmanager
async def program(
    log: Path, *flags: object, manifest: Path = MANIFEST, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Program]:
    """A running webhook, on free ports of the loopback address; it is killed if it has not ended by itself."""
    where = ("--host", "127.0.0.1", "--port", "0", "--health-port", "0", "--manifest", manifest)
    arguments = [str(part) for part in ("-m", "floe_webhook", *where, *flags)]
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdout=output, stderr=output, env={**os.environ, **(environment or {})}
        )
    try:
        made = Program(process, log)
        await until(lambda: process.returncode is not None or made.serving is not None, "serving")
        assert made.serving is not None, f"it ended:\n{made.text()}"
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
