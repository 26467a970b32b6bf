"""One process a spool: the lock on its folder, which goes with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

LOCK_NAME = "lock"


class FolderInUseError(Exception):
    """Another process uses the spool."""


def lock(directory: Path) -> int:
    """Takes the folder for this process alone; closing the descriptor gives it back.

    Raises:
        FolderInUseError: Another process has it.
        OSError: The folder cannot be written, or its file system has no locks.
    """
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise FolderInUseError(str(directory)) from None
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
