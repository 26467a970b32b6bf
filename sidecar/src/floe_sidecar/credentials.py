"""Secrets as they are now: files of a Secret volume that may change at any time, and the backend's API key."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

from floe_sidecar.logs import log
from floe_sidecar.metrics import Clock

_LOOK_SECONDS = 1.0
_USABLE = re.compile(r"[!-~]+")


class SecretFile:
    """A file's text as it is now. A Secret volume swaps its files in one step; it is looked at once a second at most.

    `problem` says why a text cannot be used, and nothing of one that can; `what` is what the file holds, for the log.
    """

    def __init__(self, file: Path, *, what: str, problem: Callable[[str], str], clock: Clock) -> None:
        self._file = file
        self._what = what
        self._problem = problem
        self._clock = clock
        self._looked_at = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._text = ""
        self._complaint = ""

    def current(self) -> str:
        """The last usable text; empty if there was none yet."""
        if self._clock() - self._looked_at >= _LOOK_SECONDS:
            self.read_again()
        return self._text

    def read_again(self) -> bool:
        """Looks at the file; says whether the text is another one now."""
        self._looked_at = self._clock()
        before = self._text
        try:
            state = self._file.stat()
            stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
            if stamp == self._stamp:
                return False
            text = self._file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            # The Secret is optional: it may come later, and while it is being swapped the last text is still good.
            self._complain(type(error).__name__)
            return False
        if text and (problem := self._problem(text)):
            self._complain(problem)
            return False
        self._stamp, self._text, self._complaint = stamp, text, ""
        return text != before

    def _complain(self, why: str) -> None:
        if why != self._complaint:
            log(logging.WARNING, f"{self._what} cannot be used", file=str(self._file), reason=why)
        self._complaint = why


class ApiKey:
    """The key for one destination: from its file, else the one that is given."""

    def __init__(self, file: Path | None, fallback: str, *, clock: Clock, what: str = "the API key's file") -> None:
        self._file = SecretFile(file, what=what, problem=_problem, clock=clock) if file is not None else None
        self._fallback = fallback

    def current(self) -> str:
        """The key to send with the next request; empty if there is none."""
        return (self._file.current() if self._file is not None else "") or self._fallback

    def read_again(self) -> bool:
        """Looks at the file; says whether the key is another one now."""
        return self._file is not None and self._file.read_again()


def user_problem(text: str) -> str:
    """Why a text is no `user:password` that a proxy could be told; nothing of one that is."""
    return "" if ":" in text and text.isprintable() else "it does not hold user:password on one line"


def _problem(text: str) -> str:
    return "" if _USABLE.fullmatch(text) else "it holds spaces or characters that a header cannot carry"
