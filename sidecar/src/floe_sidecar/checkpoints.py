"""Folds the write-ahead log into the spool's file, off the way of the acknowledgements."""

from __future__ import annotations

import logging
import sqlite3
import threading

from floe_sidecar.logs import log
from floe_sidecar.spool import Spool

_SMALLEST_LOG_BYTES = 1024 * 1024
_LARGEST_LOG_BYTES = 32 * 1024 * 1024


class Checkpointer:
    """Folds the write-ahead log into the file on a thread of its own, which starts when there is something to fold."""

    def __init__(self, spool: Spool, *, max_bytes: int) -> None:
        self._spool = spool
        self._largest_log_bytes = max(_SMALLEST_LOG_BYTES, min(_LARGEST_LOG_BYTES, max_bytes // 8))
        self._unfolded = 0
        self._log_bytes = 0
        self._wanted = threading.Semaphore(0)
        self._thread: threading.Thread | None = None
        self._running = True
        self._folding = threading.Lock()

    def written(self, size: int) -> None:
        """Notes that the log has grown; folds it here and now only if the thread cannot keep up."""
        self._unfolded += size
        self._log_bytes += size
        if self._log_bytes > self._largest_log_bytes:
            self.make_room()
        elif self._unfolded > self._largest_log_bytes // 8:
            self._unfolded = 0
            if self._thread is None:
                self._thread = threading.Thread(target=self._fold, name="spool-checkpoint", daemon=True)
                self._thread.start()
            self._wanted.release()

    def make_room(self) -> None:
        """Folds the whole log on the writer's thread: nothing is written meanwhile, so it is empty afterwards."""
        self._unfolded = 0
        try:
            with self._folding:  # the other thread may be at it, and only one can
                self._log_bytes = self._spool.checkpoint()
        except sqlite3.Error as error:
            log(logging.WARNING, "the write-ahead log could not be folded", reason=str(error))

    def stop(self) -> None:
        """Ends the thread."""
        self._running = False
        self._wanted.release()
        if self._thread is not None:
            self._thread.join()

    def _fold(self) -> None:
        while True:
            self._wanted.acquire()
            if not self._running:
                return
            try:
                with self._folding:
                    self._spool.checkpoint_beside()
            except sqlite3.Error as error:
                log(logging.WARNING, "the write-ahead log could not be folded", reason=str(error))
