"""Takes credentials out of text and out of nested values before they reach a log, a message or a span.

Knows patterns (authorization headers, user info in addresses, `name=value` of telling names) and, better than any
pattern, the values that `floe_core.credentials` has resolved in this process and registered here.

The time grows linearly with the text, whatever the text: each pattern begins where the one before it cannot, and takes
what it has read or has a bound. A log line of a megabyte must not stop a service.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta
from typing import Any
from urllib.parse import quote

MASK = "***"

_TELLING = (
    r"(?:password(?!less)|passwd|passphrase|pwd|secret|token(?!i[sz]e)|api[_-]?key|access[_-]?key|account[_-]?key"
    r"|shared[_-]?key|credential|private[_-]?key)"
)
# Names that speak of a credential without holding it, such as token_count, connection_secret_ref, api_key_variable.
_ABOUT = re.compile(
    r"(?:[_.-](?:counts?|names?|refs?|variables?|ids?|types?|lengths?|limits?|usage|ttl|seconds|scopes?|class|exists|required)"
    r"|(?:Name|Ref|Type|Count|Variable|Length|PullSecret)s?)$"
)
# The manifest's own paths: they name a Secret and its key.
_MANIFEST_PATH = re.compile(r"^credentials\.[A-Za-z_]\w*\.(?:secret|key)$")
_AMOUNT = re.compile(r"^\d{1,9}$")
_NOTHING = frozenset({"", "none", "null", "true", "false", "{}", "[]", MASK})
_HEADER = r"(?:(?:proxy-)?authorization|(?:set-)?cookie)"
_QUOTE = r"""\\*["']"""
# After a name: `=`, `: `, `": "`, `\": \"`. Possessive: what was read is not read again.
_ASSIGNED = rf"(?:{_QUOTE})?+\s*+(?:=|:)\s*+b?"
_QUOTED = r"""\\+"(?:[^"\\]|\\(?!\\*"))*+(?:\\+")?|\\+'(?:[^'\\]|\\(?!\\*'))*+(?:\\+')?"""
_QUOTED += r"""|"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?"""

_Pattern = tuple[re.Pattern[str], str]
_PATTERNS: tuple[_Pattern, ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        MASK,
    ),
    # RFC 9110: the whole value, whatever the scheme.
    (
        re.compile(rf"((?<![\w-]){_HEADER}{_ASSIGNED})(?!\$\{{env:)(?:{_QUOTED}|[^\s{{\[][^\r\n]*)", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    # Its schemes without the header's name; a plain word after one is a sentence ("Basic authentication").
    (
        re.compile(
            r"\b(Bearer|Basic|Token)(\s{1,8})(?!\$\{env:)(?![A-Za-z]?[a-z]{0,14}[.:;]?(?![\w.~+/=-]))[A-Za-z0-9._~+/=-]{6,}",
            re.IGNORECASE,
        ),
        rf"\1\2{MASK}",
    ),
    # RFC 3986 user info, also with a `/` or `@` that should have been encoded; host:port is none.
    (
        re.compile(r"""(://)[^\s/@:\["']{0,256}:(?!\d{1,5}(?:[/?#\s"']|\Z))(?:[^\s/?#]{1,256}@|[^\s"'<>@]{1,256}@)"""),
        rf"\1{MASK}@",
    ),
    (re.compile(r"""(https?://)[^\s/@:\[?#"']{1,256}@""", re.IGNORECASE), rf"\1{MASK}@"),
    # Addresses of incoming webhooks are credentials as a whole.
    (
        re.compile(
            r"(https://(?:hooks\.slack\.com|[\w-]{1,63}\.webhook\.office\.com|discord(?:app)?\.com/api/webhooks"
            r"|api\.telegram\.org)/)[^\s\"'<>\\]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"([?&](?:sig|auth|key|[\w-]{0,40}signature)=)[^&\s\"'#<>\\]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\b(?:identified\s{1,8}by|password)\s{1,8})(?:'[^']*+'?|\"[^\"]*+\"?)", re.IGNORECASE), rf"\1{MASK}"),
    # Keys that their issuers made recognisable, and JSON web tokens.
    (
        re.compile(
            r"(?<![\w-])(?:(?:AKIA|ASIA)[A-Z0-9]{16}|gh[pousr]_\w{20,}|github_pat_\w{20,}|gl(?:c|sa|pat)[_-][\w-]{12,}"
            r"|xox[a-z]-[\w-]{10,}|eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]*+)?)(?![\w-])"
        ),
        MASK,
    ),
)
# A telling name begins where no name runs on before it, so that a long one is looked at once.
_NAMED = re.compile(
    rf"(?<![\w.-])(?P<name>(?=[\w.-]*?{_TELLING})[\w.-]++)(?P<assigned>{_ASSIGNED})(?!\$\{{env:)"
    rf"(?P<value>{_QUOTED}|\[[^\]]*+\]?|[^\s,;&\"'}}{{\[<][^\s,;&\"'}}]*+)",
    re.IGNORECASE,
)
_TELLING_KEY = re.compile(rf"^(?=[\w.-]*?{_TELLING})[\w.-]++$|^{_HEADER}$", re.IGNORECASE)
_MIN_KNOWN_LENGTH = 4
_MAX_DEPTH = 32

_known_values: set[str] = set()


def remember_secret(value: str) -> None:
    """Registers a resolved credential, so that it is masked wherever it appears from now on, also encoded."""
    if len(value) >= _MIN_KNOWN_LENGTH:
        _known_values.update(_spellings(value))


def _spellings(value: str) -> Iterator[str]:
    """The value as it is, in JSON, in `repr`, in an address, and in base64 as a Secret holds it."""
    yield value
    yield json.dumps(value)[1:-1]
    yield repr(value)[1:-1]
    yield quote(value, safe="")
    yield base64.b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii")


def forget_secrets() -> None:
    """Forgets all registered values; for tests, which share one process."""
    _known_values.clear()


def redact_text(text: str) -> str:
    """The text with every credential in it replaced by `***`; a `${env:NAME}` reference is not a credential."""
    for known in sorted(_known_values, key=len, reverse=True):
        text = text.replace(known, MASK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _NAMED.sub(_without_value, text)


def _without_value(match: re.Match[str]) -> str:
    if not _holds_credential(match["name"], match["value"].strip("\\\"'")):
        return match[0]
    return f"{match['name']}{match['assigned']}{MASK}"


def _holds_credential(name: str, value: str) -> bool:
    """Whether a value under a telling name is one; `max_tokens: 100` and `secret_name: x` are not."""
    amount = name.lower().endswith("tokens") and _AMOUNT.match(value)
    return not (amount or value.lower() in _NOTHING or _ABOUT.search(name) or _MANIFEST_PATH.match(name))


def text_of(value: object) -> str:
    """An object's text without credentials; one whose text cannot be made is named by its type."""
    try:
        return redact_text(str(value))
    except Exception:  # noqa: BLE001 - a stranger's __str__ must not end the line, or the work, that it was told of
        return f"<{type(value).__name__} without a text>"


def redact_value(value: object) -> object:
    """A copy of nested mappings, sequences and strings with credentials masked.

    Numbers and times stay as they are; an object of any other kind is given as its text.
    """
    return _redacted(value, 0)


def redact_mapping(mapping: Mapping[Any, object]) -> dict[Any, object]:
    """A copy with credentials masked; what stands under a telling key is masked whatever it looks like."""
    return _redacted_mapping(mapping, 0)


def _redacted(value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float | date | time | timedelta):
        return value
    if isinstance(value, str | bytes | bytearray):
        return redact_text(value if isinstance(value, str) else value.decode("utf-8", "replace"))
    if depth > _MAX_DEPTH:  # also ends a value that contains itself
        return MASK
    if isinstance(value, Mapping):
        return _redacted_mapping(value, depth + 1)
    if isinstance(value, Sequence | AbstractSet):
        return [_redacted(entry, depth + 1) for entry in value]
    return text_of(value)


def _redacted_mapping(mapping: Mapping[Any, object], depth: int) -> dict[Any, object]:
    return {
        (key if isinstance(key, int | float | None) else text_of(key)): _redacted_entry(key, entry, depth)
        for key, entry in mapping.items()
    }


def _redacted_entry(key: object, entry: object, depth: int) -> object:
    if not isinstance(key, str) or not _TELLING_KEY.match(key) or isinstance(entry, bool | Mapping | None):
        return _redacted(entry, depth)
    text = text_of(entry) if not isinstance(entry, str | bytes | bytearray) else str(entry)
    if text.startswith("${env:") or not _holds_credential(key, text):
        return _redacted(entry, depth)
    return MASK
