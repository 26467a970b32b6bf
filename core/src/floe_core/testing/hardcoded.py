"""Finds credentials that stand in a configuration as values, where only references may stand.

Two ways: a key that promises a credential (`password`, `dd-api-key`, …) must hold references `${env:NAME}` or
`$(NAME)` and nothing else, and no text anywhere may have the shape of a credential.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_REFERENCE = re.compile(r"\$\{env:[A-Za-z_]\w*\}|\$\([A-Za-z_]\w*\)|\{\{\s*env_var\([^)]*\)\s*\}\}")
_TELLING = re.compile(
    r"password|passwd|secret|token|api[_-]?key|access[_-]?key|credential|private[_-]?key|authorization|cookie",
    re.IGNORECASE,
)
# Keys that name a credential's place or kind.
_PLACE = re.compile(r"(url|uri|endpoint|file|path|field|name|type|ref|ttl|scope|seconds)s?$", re.IGNORECASE)
_SCHEME = re.compile(r"^(bearer|basic|token)\b", re.IGNORECASE)
_SHAPES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("an authorization header's credential", re.compile(r"\b(?:bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)),
    ("user info in a URL", re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@", re.IGNORECASE)),
    ("a JSON web token", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}")),
    ("a private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    (
        "a vendor's key",
        re.compile(r"\b(?:AKIA[0-9A-Z]{16}|gl(?:c|sa|pat)[_-]\w{12,}|gh[pousr]_\w{20,}|xox[abps]-[\w-]{10,})"),
    ),
    ("a hexadecimal key", re.compile(r"(?<![\w:-])(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64})(?![\w-])", re.IGNORECASE)),
    (
        "a random key",
        re.compile(r"(?<![\w/.-])(?=[A-Za-z0-9_-]*[a-z])(?=[A-Za-z0-9_-]*[A-Z])(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{28,}"),
    ),
)


def hardcoded_credentials(value: object) -> list[str]:
    """One sentence for each credential in nested mappings, sequences and strings; it names the place, not the value."""
    return [f"{path or 'the value'} holds {what}, not a reference ${{env:NAME}}" for path, what in _find(value, "")]


def _find(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        literal = _REFERENCE.sub("", value)
        yield from ((path, what) for what, shape in _SHAPES if shape.search(literal))
    elif isinstance(value, Mapping):
        yield from _find_in_mapping(value, path)
    elif isinstance(value, (list, tuple)):
        for index, entry in enumerate(value):
            yield from _find(entry, f"{path}[{index}]")


def _find_in_mapping(mapping: Mapping[Any, Any], path: str) -> Iterator[tuple[str, str]]:
    name, literal = mapping.get("name"), mapping.get("value")
    if isinstance(name, str) and isinstance(literal, str) and _promises(name) and not _only_references(literal):
        yield f"{path}.{name}", "a credential"  # an entry of a container's `env:`
    for key, entry in mapping.items():
        place = f"{path}.{key}" if path else str(key)
        if isinstance(entry, str) and _promises(str(key)) and not _only_references(entry):
            yield place, "a credential"
        else:
            yield from _find(entry, place)


def _promises(key: str) -> bool:
    return bool(_TELLING.search(key)) and not _PLACE.search(key)


def _only_references(text: str) -> bool:
    """Whether nothing of the text is a value, apart from an authorization scheme and separators."""
    rest = _SCHEME.sub("", _REFERENCE.sub("", text).strip()).strip(" :,;")
    return not rest or bool(re.fullmatch(r"[\[{(].*[\])}]", rest))  # JSON is judged by its own shapes
