"""Takes credentials out of text and out of nested values before they reach a log, a message or a span.

Knows patterns (authorization headers, user info in URLs, `name=value` of telling names) and, better than any pattern,
the values that `floe_core.credentials` has resolved in this process and registered here.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "***"

_TELLING_NAME = (
    r"(?:[\w.-]*(?:password|passwd|secret|token|api[_-]?key|apikey|access[_-]?key|credential|private[_-]?key)[\w.-]*)"
)
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # RFC 9110 authorization schemes that carry a credential.
    (re.compile(r"\b(Bearer|Basic|Token)(\s+)(?!\$\{env:)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1\2{MASK}"),
    # RFC 3986 user info.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:]*:[^\s/@]+@", re.IGNORECASE), rf"\1{MASK}@"),
    # Incoming-webhook addresses are credentials as a whole.
    (re.compile(r"(https://hooks\.slack\.com/)[\w/+-]+", re.IGNORECASE), rf"\1{MASK}"),
    (
        re.compile(
            rf"""(["']?\b{_TELLING_NAME}["']?\s*[=:]\s*)(?!\$\{{env:)(?:"[^"]*"|'[^']*'|[^\s,;&"'}}]+)""", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), MASK),
)
_TELLING_KEY = re.compile(rf"^(?:{_TELLING_NAME}|authorization|cookie|set-cookie|dd-api-key)$", re.IGNORECASE)
_MIN_KNOWN_LENGTH = 4

_known_values: set[str] = set()


def remember_secret(value: str) -> None:
    """Registers a resolved credential, so that it is masked wherever it appears from now on."""
    if len(value) >= _MIN_KNOWN_LENGTH:
        _known_values.add(value)


def forget_secrets() -> None:
    """Forgets all registered values; for tests, which share one process."""
    _known_values.clear()


def redact_text(text: str) -> str:
    """The text with every credential in it replaced by `***`; a `${env:NAME}` reference is not a credential."""
    for known in sorted(_known_values, key=len, reverse=True):
        text = text.replace(known, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_value(value: object) -> object:
    """A copy of nested mappings, sequences and strings with credentials masked; other values stay as they are."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    if isinstance(value, Mapping):
        return redact_mapping(value)
    if isinstance(value, Sequence):
        return [redact_value(entry) for entry in value]
    return value


def redact_mapping(mapping: Mapping[Any, object]) -> dict[Any, object]:
    """A copy with credentials masked; what stands under a telling key is masked whatever it looks like."""
    return {key: _redact_entry(key, entry) for key, entry in mapping.items()}


def _redact_entry(key: object, entry: object) -> object:
    if isinstance(key, str) and isinstance(entry, str) and _TELLING_KEY.match(key) and not entry.startswith("${env:"):
        return MASK
    return redact_value(entry)
