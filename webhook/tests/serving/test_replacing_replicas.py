"""A rolling update under load: a replica that is asked to end is not asked any more before it is gone."""

import asyncio
import ssl
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from webhook.tests.builders import pod
from webhook.tests.reviews import admission_review
from webhook.tests.serving.program import Program, program
from webhook.tests.serving.switch import Switch, switch
from webhook.tests.serving.test_the_program import write_certificates
from webhook.tests.waiting import SECONDS, until

pytestmark = pytest.mark.requirement("HOUSE-11", "FP-1", "FP-24")

CLIENTS = 4
DRAIN_SECONDS = 1.5


@dataclass(slots=True)
class Load:
    """Clients that keep their connections and create pods one after another."""

    injected: int = 0
    failures: list[str] = field(default_factory=list)

    async def send(self, origin: str, trust: ssl.SSLContext) -> None:
        review = admission_review(pod())
        async with httpx.AsyncClient(base_url=origin, verify=trust, trust_env=False, timeout=5.0) as http:
            while True:
                try:
                    answer = (await http.post("/mutate", json=review)).json()["response"]
                except (httpx.HTTPError, KeyError) as error:
                    self.failures.append(repr(error))
                    continue
                if "patch" in answer:
                    self.injected += 1
                else:
                    self.failures.append(str(answer))

    async def more(self, count: int) -> None:
        """Returns when so many more pods were injected, or one failed."""
        wanted = self.injected + count
        await until(lambda: self.injected >= wanted or bool(self.failures), f"{count} more injected")


async def until_ready(entrance: Switch, ready: int) -> None:
    await until(lambda: len(entrance.ready) == ready, f"{ready} replicas ready")


async def test_no_request_fails_while_one_replica_is_replaced_by_another(tmp_path: Path) -> None:
    trust = write_certificates(tmp_path)
    files = ("--tls-cert", tmp_path / "tls.crt", "--tls-key", tmp_path / "tls.key")

    async def start(parts: AsyncExitStack, name: str) -> Program:
        flags = (*files, "--drain-seconds", DRAIN_SECONDS, "--pod-name", name)
        return await parts.enter_async_context(program(tmp_path / f"{name}.log", *flags))

    async with AsyncExitStack() as parts, asyncio.TaskGroup() as group:
        first, second = await asyncio.gather(start(parts, "first"), start(parts, "second"))
        entrance = await parts.enter_async_context(switch(first, second))
        await until_ready(entrance, 2)
        load = Load()
        clients = [group.create_task(load.send(f"https://127.0.0.1:{entrance.port}", trust)) for _ in range(CLIENTS)]
        await load.more(20)
        third = await start(parts, "third")
        entrance.replicas.append(third)
        await until_ready(entrance, 3)
        first.stop()
        assert await asyncio.wait_for(first.process.wait(), SECONDS) == 0
        entrance.replicas.remove(first)
        await load.more(20)
        for client in clients:
            client.cancel()
    assert load.failures == []
    assert [one["event"] for one in first.events()][-2:] == ["draining", "stopped"]
