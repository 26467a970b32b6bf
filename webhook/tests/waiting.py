"""Waiting for a condition, with a deadline that a busy machine keeps."""

import asyncio
from collections.abc import Awaitable, Callable

SECONDS = 30.0


async def until(condition: Callable[[], bool], what: str, *, seconds: float = SECONDS) -> None:
    """Returns as soon as the condition holds."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, f"not {what} within {seconds:g} s"
        await asyncio.sleep(0.01)


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, *, seconds: float = SECONDS) -> None:
    """The same for a condition that has to be asked for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await condition():
        assert loop.time() < deadline, f"not {what} within {seconds:g} s"
        await asyncio.sleep(0.02)
