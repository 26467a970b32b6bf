"""Time that passes when a test says so."""

import asyncio


class Clock:
    """Seconds, and those who sleep."""

    def __init__(self) -> None:
        self.time = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.time + seconds, woken))
        await woken

    async def pass_by(self, seconds: float) -> None:
        """Time passes, in steps of a tenth, and everybody does what is due."""
        until = self.time + seconds
        await self._settle()
        while self.time < until - 1e-9:
            self.time = round(min(self.time + 0.1, until), 1)
            for at, woken in list(self._sleepers):
                if at <= self.time + 1e-9:
                    self._sleepers.remove((at, woken))
                    if not woken.done():
                        woken.set_result(None)
            await self._settle()

    @staticmethod
    async def _settle() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
