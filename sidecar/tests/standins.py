"""A stand-in for a lineage backend, with nothing but the standard library.

It behaves as Marquez 0.51 documents and does (`OpenLineageResource`): 201 without a body for an event that it takes,
400 for an event with an illegal argument, 500 for everything else that goes wrong. A test may answer otherwise, late,
or never.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

_ACCEPTING_TURNS = 5


@dataclass(frozen=True)
class Post:
    """One request that the backend got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body as JSON."""
        event: dict[str, Any] = json.loads(self.body)
        return event

    @property
    def run(self) -> str:
        """The event's run."""
        return str(self.event["run"]["runId"])

    @property
    def kind(self) -> str:
        """The event's type."""
        return str(self.event["eventType"])


@dataclass(frozen=True)
class Reply:
    """What the backend answers. `silent` never does, `cut` closes the connection instead."""

    status: int = 201
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after_seconds: float = 0.0
    silent: bool = False
    cut: bool = False


def as_marquez(post: Post) -> Reply:
    """Marquez' own answers, as far as an event's shape decides them."""
    try:
        event = json.loads(post.body)
    except ValueError:
        return Reply(400)
    if not isinstance(event, dict) or "job" not in event:
        return Reply(500)
    return Reply(201)


class BackendStandIn:
    """A backend on 127.0.0.1; the port stays the same over `stop` and `start`, as a Service's does."""

    def __init__(self, answer: Callable[[Post], Reply] = as_marquez) -> None:
        self.answer = answer
        self.posts: list[Post] = []
        self.accepted: list[Post] = []
        self.at_once = 0
        self.most_at_once = 0
        self.connections = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The origin that OPENLINEAGE_URL would hold."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> BackendStandIn:
        """Listens."""
        self._server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Listens no more and cuts every connection, also one that was accepted but not served yet."""
        if self._server is not None:
            self._server.close()
            self._server = None
        # Accepting takes some turns of the loop; what comes out of it meets a stopped stand-in and is cut.
        for _ in range(_ACCEPTING_TURNS):
            await asyncio.sleep(0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the requests of one connection."""
        task = asyncio.current_task()
        assert task is not None
        if self._server is None:
            writer.transport.abort()
            return
        self._tasks.add(task)
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        post = Post(head[0].split(" ")[1], headers, body)
        self.posts.append(post)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            reply = self.answer(post)
            if reply.silent:
                await asyncio.Event().wait()
            await asyncio.sleep(reply.after_seconds)
        finally:
            self.at_once -= 1
        if reply.cut:
            return False
        if 200 <= reply.status < 300:
            self.accepted.append(post)
        lines = [f"HTTP/1.1 {reply.status} Whatever", f"Content-Length: {len(reply.body)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + reply.body)
        await writer.drain()
        return True


@contextmanager
def backend_in_thread(backend: BackendStandIn) -> Iterator[BackendStandIn]:
    """Runs the backend on a loop of its own, for tests whose own thread waits for a process."""
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def live() -> None:
        await backend.start()
        started.set()
        await ended.wait()
        await backend.stop()

    ended = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(live(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield backend
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
