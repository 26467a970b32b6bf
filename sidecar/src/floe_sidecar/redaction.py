"""Cuts credentials out of an event's bytes before they are stored: out of URLs, SQL, messages and environment facets.

Works on the JSON text itself, so that nothing else changes by a byte, and leaves valid JSON behind. The cost is
bounded: a body without any of the words below is only searched, and each occurrence of a word is looked at once,
forward, by a pattern without nested repetition.

| found in | what is cut |
|---|---|
| `scheme://user:secret@host` | the secret |
| `https://secret@host` (not `ssh://git@`, not `abfss://container@`) | the secret |
| `?token=secret`, `;password=secret`, `AccountKey=secret` | the value |
| `"password": "secret"`, also escaped inside a string | the value |
| `{"name": "DB_PASSWORD", "value": "secret"}` | the value |
| `PASSWORD 'secret'`, `IDENTIFIED BY 'secret'`, `secret_key => 'secret'` | the literal |
| `Bearer secret`, `Basic secret` | the token |
| `-----BEGIN … PRIVATE KEY-----` | the key |

A column that is called `password`, and a comparison such as `a.token = b.token`, stay.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MARK = b"***"
"""What stands where a credential stood."""

_AUTHORITY = rb"""(?:([^\s"'/@:\\]{0,256}):([^\s"'/\\]{1,1024})|([^\s"'/@:\\]{8,1024}))@"""
# JSON may write a slash as `\/`. Each pattern begins with plain bytes, which are found without trying the pattern.
_USER_INFO = {b"://": re.compile(rb"://" + _AUTHORITY), rb":\/\/": re.compile(rb":\\/\\/" + _AUTHORITY)}

_REST_OF_NAME = rb"[A-Za-z0-9_.-]{0,40}"
# A string of the event itself; one inside a string, whose quotes are escaped; a literal of SQL. Escapes are never torn.
_QUOTED_VALUE = (
    rb"""(?:"(?P<json>(?:[^"\\]|\\.){1,65536})"""
    rb"""|\\+"(?P<nested>(?:[^"\\]|\\\\(?:\\.)?|\\[^"\\]){1,65536})"""
    rb"""|'(?P<sql>(?:[^'"\\]|\\(?!")|''){1,65536})')"""
)
_NAMED_QUOTED = re.compile(
    rb"""%s(?:\\*["'])?[ \t]{0,8}(?:=>|:=|[:=]|[ \t])[ \t]{0,8}%s""" % (_REST_OF_NAME, _QUOTED_VALUE)
)
_NAME_THEN_VALUE = re.compile(
    rb"""%s\\*",\s{0,16}\\*"value\\*"\s{0,8}:\s{0,8}%s""" % (_REST_OF_NAME, _QUOTED_VALUE), re.IGNORECASE
)
_UNQUOTED = re.compile(rb"""%s=(?P<bare>[^\s"'&;,(){}\\<>][^\s"'&;,)}\\<>]{0,65535})""" % _REST_OF_NAME)
_IDENTIFIER_OR_PARAMETER = re.compile(
    rb"(?:[a-z_]\w*\.[a-z_]\w*|[?]|[:$%@]\w{0,40}|\{\{.*|null|none|true|false)$", re.IGNORECASE
)
_IDENTIFIED_BY = re.compile(rb"""identified\s{1,8}by\s{1,8}(?:password\s{1,8})?%s""" % _QUOTED_VALUE, re.IGNORECASE)
_SCHEME_TOKEN = re.compile(rb"(?:bearer|basic)\s{1,4}(?P<bare>[A-Za-z0-9+/=._~-]{12,65536})", re.IGNORECASE)
_PRIVATE_KEY = re.compile(
    rb"private key-----(?P<bare>(?:[A-Za-z0-9+/=\s:,]|\\[nrt/\\]|-(?!-)){1,65536})", re.IGNORECASE
)


class _Rule(NamedTuple):
    """What is looked for where a stem occurs: most events hold none of the stems, and then that is all that is done.

    `strong` are parts of names that hold a secret; `weak` ones are ordinary words too, whose values are cut only
    where a query or a quoted value makes the meaning plain.
    """

    strong: tuple[bytes, ...] = ()
    weak: tuple[bytes, ...] = ()
    phrases: tuple[re.Pattern[bytes], ...] = ()


_RULES = {
    b"pass": _Rule(strong=(b"password", b"passwd", b"passphrase")),
    b"pwd": _Rule(strong=(b"pwd",)),
    b"secret": _Rule(strong=(b"secret",)),
    b"key": _Rule(
        strong=(b"accountkey", b"account_key", b"api_key", b"apikey", b"api-key", b"access_key", b"private_key"),
        phrases=(_PRIVATE_KEY,),
    ),
    b"token": _Rule(strong=(b"sas_token", b"access_token", b"auth_token"), weak=(b"token",)),
    b"credential": _Rule(strong=(b"credentials",), weak=(b"credential=",)),
    b"sig": _Rule(weak=(b"signature", b"sig=")),
    b"identified": _Rule(phrases=(_IDENTIFIED_BY,)),
    b"bearer": _Rule(phrases=(_SCHEME_TOKEN,)),
    b"basic": _Rule(phrases=(_SCHEME_TOKEN,)),
}


def redact(body: bytes) -> bytes:
    """The same bytes without the credentials that were recognised; the very same object if there were none."""
    spans = _user_info(body) if b"@" in body else []
    lowered = body.lower()
    for stem, rule in _RULES.items():
        if stem not in lowered:
            continue
        for word in rule.strong:
            spans += _occurrences(body, lowered, word, strong=True)
        for word in rule.weak:
            spans += _occurrences(body, lowered, word, strong=False)
        for pattern in rule.phrases:
            spans += [_value_span(match) for match in pattern.finditer(body)]
    return _cut(body, spans) if spans else body


def _user_info(body: bytes) -> list[tuple[int, int]]:
    spans = []
    for separator, pattern in _USER_INFO.items():
        if separator not in body:
            continue
        for match in pattern.finditer(body):
            if match[2] is not None:
                spans.append(match.span(2))
            elif body.endswith((b"http", b"https"), 0, match.start()):
                spans.append(match.span(3))
    return spans


def _occurrences(body: bytes, lowered: bytes, word: bytes, *, strong: bool) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    at = lowered.find(word)
    while at >= 0:
        end = at + len(word)
        name_end = end - 1 if word.endswith(b"=") else end
        span = _value_after(body, at, name_end, strong=strong)
        if span is not None:
            spans.append(span)
            end = max(end, span[1])
        at = lowered.find(word, end)
    return spans


def _value_after(body: bytes, start: int, end: int, *, strong: bool) -> tuple[int, int] | None:
    """Where the value stands that belongs to the name at `start:end`, if one does."""
    match = _NAME_THEN_VALUE.match(body, end) or (
        _NAMED_QUOTED.match(body, end) if strong or body[end : end + 2] in {b'":', b'\\"'} else None
    )
    if match is not None:
        return _value_span(match)
    match = _UNQUOTED.match(body, end)
    if match is None or _IDENTIFIER_OR_PARAMETER.match(match["bare"]):
        return None
    return _value_span(match) if strong or _in_a_query(body, start) else None


def _in_a_query(body: bytes, start: int) -> bool:
    """Whether the name that holds `start` began after `?`, `&` or `;`."""
    while start > 0 and (body[start - 1 : start].isalnum() or body[start - 1 : start] in {b"_", b"-"}):
        start -= 1
    return body[start - 1 : start] in {b"?", b"&", b";"}


def _value_span(match: re.Match[bytes]) -> tuple[int, int]:
    groups = match.re.groupindex
    for name in ("json", "nested", "sql", "bare"):
        if name in groups and match[name] is not None:
            return match.span(name)
    return match.span()


def _cut(body: bytes, spans: list[tuple[int, int]]) -> bytes:
    parts, end = [], 0
    for start, stop in sorted(spans):
        if start < end:
            end = max(end, stop)  # part of a value that is already cut
            continue
        parts += [body[end:start], MARK]
        end = stop
    return b"".join([*parts, body[end:]])
