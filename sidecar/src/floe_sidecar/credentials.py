"""The backend's API key: from a file that may change at any time, else from the environment."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from floe_sidecar.logs import log
from floe_sidecar.metrics import Clock

_LOOK_SECONDS = 1.0
_USABLE = re.compile(r"[!-~]+")


class ApiKey:
    """The key as it is now. A Secret volume swaps its files in one step; it is looked at once a second at most."""

    def __init__(self, file: Path | None, fallback: str, *, clock: Clock) -> None:
        self._file = file
        self._fallback = fallback
        self._clock = clock
        self._looked_at = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._from_file = ""
        self._complaint = ""

    def current(self) -> str:
        """The key to send with the next request; empty if there is none."""
        if self._file is not None and self._clock() - self._looked_at >= _LOOK_SECONDS:
            self.read_again()
        return self._from_file or self._fallback

    def read_again(self) -> bool:
        """Looks at the file; says whether the key is another one now."""
        if self._file is None:
            return False
        self._looked_at = self._clock()
        before = self._from_file
        try:
            state = self._file.stat()
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp == self._stamp:
                return False
            text = self._file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            # The Secret is optional: it may come later, and while it is being swapped the last key is still good.
            self._complain(type(error).__name__)
            return False
        if text and not _USABLE.fullmatch(text):
            self._complain("it holds spaces or characters that a header cannot carry")
            return False
        self._stamp, self._from_file, self._complaint = stamp, text, ""
        return text != before

    def _complain(self, why: str) -> None:
        if why != self._complaint:
            log(logging.WARNING, "the API key's file cannot be used", file=str(self._file), reason=why)
        self._complaint = why
