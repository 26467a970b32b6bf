"""What a run of the tests has left in words, searched for the credentials that it used.

The credentials are what stood in any Secret of any cluster of the run, as the API servers' audit logs tell. The words
are everything else in these logs (pods, Events, and more), and the files that the run's programs, containers and stores
left: logs, metrics, spans.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.cluster.audit import LOG_NAME

WORDS = ("*.log", "*.metrics", "*.spans")
"""Names of files that hold words."""

_OF_A_SECRET = b'"objectRef":{"resource":"secrets"'
_PUBLIC = b"-----BEGIN CERTIFICATE"  # stands in caBundle, too
_MINIMUM_CHARACTERS = 8


@dataclass(frozen=True, slots=True, order=True)
class Leak:
    """A credential where it must not be; the value itself is not told again."""

    file: str
    line: int
    secret: str


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found, and how much was looked at.

    Attributes:
        credentials: How many Secrets' keys were looked for.
        lines: How many lines were looked at.
    """

    leaks: list[Leak]
    credentials: int
    lines: int


def scan(folder: Path) -> Scan:
    """Looks through every file of words under a folder."""
    audits = sorted(folder.rglob(LOG_NAME))
    needles = {needle: name for audit in audits for name, value in _credentials(audit) for needle in _forms(value)}
    leaks: set[Leak] = set()
    lines = 0
    for path in sorted({path for pattern in WORDS for path in folder.rglob(pattern)}):
        for number, line in enumerate(_lines(path), start=1):
            lines += 1
            if _OF_A_SECRET not in line:
                found = {name for needle, name in needles.items() if needle in line}
                leaks |= {Leak(str(path.relative_to(folder)), number, name) for name in found}
    return Scan(sorted(leaks), len(set(needles.values())), lines)


def _credentials(audit: Path) -> Iterator[tuple[str, bytes]]:
    """Each credential of an audit log, called by its Secret and key."""
    for line in _lines(audit):
        if _OF_A_SECRET in line:
            entry = json.loads(line)
            for document in (entry.get("requestObject"), entry.get("responseObject")):
                yield from _values(document or {}, entry["objectRef"])


def _values(document: dict[str, Any], reference: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    metadata = document.get("metadata") or {}
    name = f"{reference.get('namespace')}/{metadata.get('name') or reference.get('name')}"
    for key, text in (document.get("stringData") or {}).items():
        yield f"{name}: {key}", text.encode()
    for key, encoded in (document.get("data") or {}).items():
        yield f"{name}: {key}", base64.b64decode(encoded or "")


def _forms(value: bytes) -> Iterator[bytes]:
    """A credential as it could be told: as it is, or as a Secret has it; of one with many lines its longest line."""
    telling = max(value.splitlines(), key=len, default=b"").strip()
    if len(telling) >= _MINIMUM_CHARACTERS and not value.startswith(_PUBLIC):
        yield telling
        yield base64.b64encode(value)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file
