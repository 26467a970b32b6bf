"""Keeps the process small: every MiB here is paid once in each pod.

Measured on CPython 3.11: `ssl` with libcrypto costs 4.4 MiB and asyncio imports it whenever it can;
`typing_extensions`, which msgspec imports if some other package brought it, costs 5.2 MiB. All of them are optional
to their importers.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_OPTIONAL_ALWAYS = ("typing_extensions",)
_OPTIONAL_WITHOUT_TLS = ("ssl", "_ssl", "_hashlib")
_THREAD_STACK_BYTES = 512 * 1024
_M_MMAP_THRESHOLD = -3
_LARGE_BLOCK_BYTES = 128 * 1024


@contextmanager
def lean_imports(*, tls: bool) -> Iterator[None]:
    """Modules that are first imported inside do without what they can do without.

    asyncio and hashlib are written to work in a Python that was built without OpenSSL: the same `ImportError` is
    raised here. What is already loaded stays, and what is hidden can be imported again afterwards.
    """
    names = _OPTIONAL_ALWAYS if tls else _OPTIONAL_ALWAYS + _OPTIONAL_WITHOUT_TLS
    hidden = [name for name in names if name not in sys.modules]
    absent: dict[str, None] = dict.fromkeys(hidden)
    sys.modules.update(absent)  # type: ignore[arg-type]  # None is Python's own mark for "cannot be imported"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def use_small_threads() -> None:
    """Threads started from here on reserve half a MiB of stack, which is ample for SQLite and for resolving names."""
    threading.stack_size(_THREAD_STACK_BYTES)


def give_large_blocks_back() -> None:
    """Lets glibc return each large block as soon as it is free, as `MALLOC_MMAP_THRESHOLD_` would.

    By default its threshold grows with the largest block seen, and bodies of some MiB then leave holes: after such a
    burst the process kept 58 MiB instead of 39. Another libc has no `mallopt`, and needs none.
    """
    import ctypes  # noqa: PLC0415 - here only

    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)


def settle_memory() -> None:
    """Takes what start-up left behind out of the collector's sight, so that no later collection touches its pages."""
    gc.collect()
    gc.freeze()
