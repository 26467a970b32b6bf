"""How long work shows that it goes on: one line on standard error, on a terminal only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Takes what is being done, each time it changes; the line is gone after the block."""
    stream = sys.stderr
    if stream is None or not stream.isatty():
        yield lambda _: None
        return

    def show(text: str) -> None:
        stream.write(f"{_CLEAR_LINE}… {text}")
        stream.flush()

    try:
        yield show
    finally:
        stream.write(_CLEAR_LINE)
        stream.flush()
