"""Pods that are created and handshakes that are made while a release's replicas change; for tests and measurements."""

import asyncio
import base64
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from floe_certs.api import UnreachableError
from floe_certs.serving import client_context
from tests.e2e.admission import Namespace, pod
from tests.e2e.webhook_release import Release
from webhook.tests.serving.program import Program, program
from webhook.tests.waiting import until

WORKERS = 4
DRAIN_SECONDS = 2.0


@dataclass(slots=True)
class Load:
    """Those who create pods and those who shake hands, and what happened to them.

    Attributes:
        per_second: Creations in all, at most; 0 for as many as there can be.
        failed: What the API server said to creations that it refused, and handshakes that failed.
        unanswered: Creations to which the API server said nothing.
        seconds: How long each creation took.
    """

    release: Release
    namespace: Namespace
    per_second: float = 0.0
    injected: int = 0
    handshakes: int = 0
    not_injected: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unanswered: int = 0
    seconds: list[float] = field(default_factory=list)
    _next_at: float = field(default_factory=time.monotonic)

    async def create_pods(self) -> None:
        """As dry runs, one after another."""
        path = f"/api/v1/namespaces/{self.namespace.name}/pods"
        while True:
            await self._turn()
            began = time.monotonic()
            try:
                answer = await self.release.api(
                    "POST", path, query={"dryRun": "All"}, body=pod(self.namespace, inject="enabled")
                )
            except UnreachableError:
                self.unanswered += 1
                await asyncio.sleep(0.02)
                continue
            self.seconds.append(time.monotonic() - began)
            if answer.status != 201:
                self.failed.append(str(answer.document.get("message")))
            elif "floe.dev/injected" in answer.document["metadata"]["labels"]:
                self.injected += 1
            else:
                self.not_injected.append(answer.document["metadata"]["name"])

    async def _turn(self) -> None:
        if self.per_second:
            self._next_at = max(self._next_at, time.monotonic() - 1) + 1 / self.per_second
            await asyncio.sleep(self._next_at - time.monotonic())

    async def shake_hands(self, replicas: list[Program]) -> None:
        """With each replica in turn, trusting the caBundle as it is read right before."""
        while True:
            (bundle,) = set(await self.release.bundles())
            for replica in replicas:
                try:
                    _, writer = await asyncio.open_connection(
                        "127.0.0.1",
                        replica.port,
                        ssl=client_context(base64.b64decode(bundle)),
                        server_hostname=self.release.server_name,
                    )
                except OSError as error:
                    self.failed.append(f"handshake: {error}")
                    continue
                self.handshakes += 1
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            await asyncio.sleep(0.02)

    async def more(self, count: int) -> None:
        """Returns when so many more pods were injected."""
        wanted = self.injected + count
        await until(lambda: self.injected >= wanted, f"{count} more injected")


async def sample(replica: Program, name: str, **labels: str) -> float:
    """A metric's value."""
    async with httpx.AsyncClient(trust_env=False) as http:
        text = (await http.get(f"http://127.0.0.1:{replica.health_port}/metrics")).text
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            if one.name == name and one.labels == labels:
                return float(one.value)
    return math.nan


@asynccontextmanager
async def replicas(
    load: Load, tmp_path: Path, *flags: object
) -> AsyncIterator[Callable[[str], "asyncio.Future[Program]"]]:
    """Starts replicas; they end with the block."""
    async with AsyncExitStack() as parts:

        def start(name: str) -> "asyncio.Future[Program]":
            running = program(
                tmp_path / f"{name}.log",
                *load.release.flags(name, "--drain-seconds", DRAIN_SECONDS, *flags),
                environment=load.release.environment,
            )
            return asyncio.ensure_future(parts.enter_async_context(running))

        yield start


@asynccontextmanager
async def under(load: Load, *more: "asyncio.Future[None]", workers: int = WORKERS) -> AsyncIterator[None]:
    """Pods are created while the block runs."""
    tasks = [*(asyncio.ensure_future(load.create_pods()) for _ in range(workers)), *more]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(ended, asyncio.CancelledError), ended


async def in_force(load: Load) -> None:
    """Returns once the API server calls the webhook: it reads configurations a moment later."""
    async with under(load):
        await load.more(1)
    load.not_injected.clear()


async def steps(replicas: Sequence[Program], step: str) -> int:
    """How often the replicas took a step of rotation, together."""
    return int(sum([await sample(one, "floe_webhook_certificate_steps_total", step=step) for one in replicas]))
