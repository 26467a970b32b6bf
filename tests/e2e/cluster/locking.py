"""A lock between runs that share the cache: the second one waits, and says for what."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.cluster.progress import say


@contextmanager
def locked(path: Path, name: str) -> Iterator[None]:
    """Holds the lock of a file while the block runs; the kernel lets it go if the process is killed."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another run that builds {name} …")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
