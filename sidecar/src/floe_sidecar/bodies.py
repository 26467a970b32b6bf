"""Bodies of requests as they come: collected, inflated and bounded."""

from __future__ import annotations

import zlib

_GZIP = 16 + zlib.MAX_WBITS
_STEP_BYTES = 64 * 1024


class BodyRefusedError(Exception):
    """The body cannot be taken; `status` is the HTTP answer, the message says why."""

    def __init__(self, status: int, reason: str, what: str) -> None:
        super().__init__(what)
        self.status = status
        self.reason = reason


class Body:
    """One body. Never holds more than `max_bytes`, whatever a few compressed bytes pretend to be."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        self._parts: list[bytes] = []
        self._encoding = encoding.strip().lower()
        self._max_bytes = max_bytes
        self._inflater: zlib._Decompress | None = None
        self.size = 0
        if self._encoding not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise BodyRefusedError(415, "encoding", "Content-Encoding is neither gzip nor deflate")

    def announce(self, size: int) -> None:
        """Takes the size that the client says; a body that is too large need not come.

        Raises:
            BodyRefusedError: It is too large.
        """
        if size > self._max_bytes:
            raise self._too_large()

    def add(self, chunk: bytes) -> None:
        """Takes the next bytes off the wire.

        Raises:
            BodyRefusedError: It grows too large, or is not compressed as it says.
        """
        if self._encoding in {"", "identity"}:
            self._keep(chunk)
            return
        if self._inflater is None:
            self._inflater = self._begin(chunk)
        try:
            while chunk and not self._inflater.eof:
                self._keep(self._inflater.decompress(chunk, _STEP_BYTES))
                chunk = self._inflater.unconsumed_tail
        except zlib.error:
            raise _not_as_encoded(self._encoding) from None
        if self._inflater.eof and (chunk or self._inflater.unused_data):
            raise _not_as_encoded(self._encoding)

    def complete(self) -> bytes:
        """All of it.

        Raises:
            BodyRefusedError: The compressed stream has no end.
        """
        if self._inflater is not None:
            try:
                while not self._inflater.eof:
                    more = self._inflater.decompress(b"", _STEP_BYTES)
                    if not more:
                        raise _not_as_encoded(self._encoding)
                    self._keep(more)
            except zlib.error:
                raise _not_as_encoded(self._encoding) from None
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def _begin(self, first: bytes) -> zlib._Decompress:
        if self._encoding != "deflate":
            return zlib.decompressobj(_GZIP)
        # RFC 9110 means a zlib stream by "deflate", many clients send a bare one; RFC 1950 2.2 tells them apart.
        is_zlib = first[0] & 0x0F == zlib.DEFLATED and first[0] >> 4 <= zlib.MAX_WBITS - 8
        return zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)

    def _keep(self, part: bytes) -> None:
        self.size += len(part)
        if self.size > self._max_bytes:
            raise self._too_large()
        if part:
            self._parts.append(part)

    def _too_large(self) -> BodyRefusedError:
        return BodyRefusedError(413, "too_large", f"the body is larger than {self._max_bytes} bytes")


def _not_as_encoded(encoding: str) -> BodyRefusedError:
    return BodyRefusedError(400, "encoding", f"the body is not a whole {encoding} stream")
