"""How many rows one statement takes: each statement gives up the interpreter's lock and has to win it back."""

from __future__ import annotations

from collections.abc import Iterator

ROWS_A_STATEMENT = 32
SIZES = tuple(1 << power for power in range(ROWS_A_STATEMENT.bit_length()))
"""The row counts that statements are made for."""


def chunks(count: int) -> Iterator[range]:
    """Ranges whose lengths are powers of two, so that few different statements have to be kept prepared."""
    start = 0
    while start < count:
        length = min(ROWS_A_STATEMENT, 1 << (count - start).bit_length() - 1)
        yield range(start, start + length)
        start += length
