"""Answers in JSON; one on a connection that stays open is written in one piece.

aiohttp makes a mapping of headers for each answer, fills it step by step and writes it out again: a tenth of what an
admission takes. What an API server reads is the same each time, but for length and time.
"""

import time
from email.utils import formatdate
from functools import lru_cache

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

OK = 200


class JsonAnswer(web.Response):
    """A JSON document; like any other answer where it is not a plain one, or ends its connection."""

    def __init__(self, body: bytes, status: int = OK) -> None:
        super().__init__(body=body, status=status, content_type="application/json")
        self._document = body
        self._stays_open: AbstractStreamWriter | None = None

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open; None before the answer is prepared."""
        return super().keep_alive if self._stays_open is None else True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Chooses how it is written."""
        is_plain = self.status == OK and self.keep_alive is None and request.version == HttpVersion11
        if not (is_plain and request.keep_alive):
            return await super().prepare(request)
        self._stays_open = request.writer
        return self._stays_open

    async def write_eof(self, data: bytes = b"") -> None:
        """Writes it."""
        if self._stays_open is None:
            await super().write_eof(data)
            return
        head = _HEAD % (len(self._document), _date(int(time.time())))
        await self._stays_open.write(head + self._document)
        await self._stays_open.drain()


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nDate: %b\r\n\r\n"


@lru_cache(maxsize=1)
def _date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode("ascii")
