"""What TLS needs from files that may change at any time: authorities, and a client's own certificate and key.

The files belong to a Secret that is optional: it may come later, and it is rotated in one step. They are looked at
before connections are made, once a second at most, and a set that cannot be used leaves the last good one in place.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from floe_sidecar.logs import log
from floe_sidecar.metrics import Clock

if TYPE_CHECKING:
    import ssl

_LOOK_SECONDS = 1.0

_Stamp = tuple[tuple[int, int, int] | None, ...]


class CertificatesUnusableError(OSError):
    """No connection can be made with these files; the message names them."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Paths of PEM files; without authorities the system's hold, without a certificate the client has none."""

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def given(self) -> tuple[Path, ...]:
        """The files that have to be there."""
        return tuple(
            file for file in (self.authorities, self.certificate, self.certificate and self.key) if file is not None
        )


class Certificates:
    """TLS as the files have it now. `what` they are for, for the log."""

    def __init__(self, files: CertificateFiles, *, what: str, clock: Clock) -> None:
        self._files = files
        self._what = what
        self._clock = clock
        self._looked_at = float("-inf")
        self._stamp: _Stamp | None = None
        self._context: ssl.SSLContext | None = None
        self._problem = ""

    def look(self) -> bool:
        """Looks at the files; says whether connections are made with others from now on."""
        if self._clock() - self._looked_at < _LOOK_SECONDS:
            return False
        self._looked_at = self._clock()
        stamp = tuple(_stamp(file) for file in self._files.given)
        if stamp == self._stamp:
            return False
        try:
            context = _context(self._files)
        except (OSError, ValueError) as error:
            self._complain(error)
            return False
        renewed = self._context is not None
        self._stamp, self._context, self._problem = stamp, context, ""
        return renewed

    def context(self) -> ssl.SSLContext:
        """What connections are made with.

        Raises:
            CertificatesUnusableError: The files were never usable.
        """
        self.look()
        if self._context is None:
            raise CertificatesUnusableError(f"{self._what} cannot be used ({self._problem})")
        return self._context

    def _complain(self, error: Exception) -> None:
        missing = [str(file) for file in self._files.given if not file.is_file()]
        reason = f"{', '.join(missing)} is missing" if missing else getattr(error, "strerror", None) or str(error)
        if reason != self._problem:
            log(
                logging.ERROR,
                f"{self._what} cannot be used",
                files=[str(file) for file in self._files.given],
                reason=reason,
            )
        self._problem = reason


def _context(files: CertificateFiles) -> ssl.SSLContext:
    import ssl  # noqa: PLC0415 - 4.4 MiB that plain HTTP does not pay

    context = ssl.create_default_context(cafile=files.authorities)
    if files.certificate is not None:
        # Without a password OpenSSL would ask a terminal for an encrypted key's.
        context.load_cert_chain(files.certificate, files.key, password="")
    return context


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        state = file.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino
