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
| `thin:user/secret@host`, `--password secret`, `curl -u user:secret` | the secret |
| `password: s3cret`, `secret_key = s3cret` outside SQL | what follows, if it has a digit and eight characters |
| `AKIA…`, `ghp_…`, `xoxb-…`, `dapi…`, `eyJ….eyJ….…`, … (`_TOKENS`) | what follows the beginning |

The manifest may add names, which count as those above do, and beginnings of tokens. It adds no patterns: one that
looks harmless may take minutes for an event.

A column that is called `password`, and a comparison such as `a.token = b.token`, stay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MARK = b"***"
"""What stands where a credential stood."""

_AUTHORITY = rb"""(?:([^\s"'/@:\\]{0,256}):([^\s"'/\\]{1,1024})|([^\s"'/@:\\]{8,1024}))@"""
# JSON may write a slash as `\/`. Each pattern begins with plain bytes, which are found without trying the pattern.
_USER_INFO = {b"://": re.compile(rb"://" + _AUTHORITY), rb":\/\/": re.compile(rb":\\/\\/" + _AUTHORITY)}

_REST_OF_NAME = rb"[A-Za-z0-9_.-]{0,40}"
# A string of the event itself; one inside a string, whose quotes are escaped; a literal of SQL. Escapes are never torn.
_JSON_STRING = rb"""(?P<json>(?:[^"\\]|\\.){1,65536})"""
_INNER_VALUE = (
    rb"""(?:\\+"(?P<nested>(?:[^"\\]|\\\\(?:\\.)?|\\[^"\\]){1,65536})"""
    rb"""|'(?P<sql>(?:[^'"\\]|\\(?!")|''){1,65536})')"""
)
# A quote that is not escaped ends the string that a name stands in, unless the name is a member's own.
_MEMBER = re.compile(rb"""%s"\s{0,16}:\s{0,16}"%s\"""" % (_REST_OF_NAME, _JSON_STRING))
_NAMED_QUOTED = re.compile(
    rb"""%s(?:\\+["']|')?[ \t]{0,8}(?:=>|:=|[:=]|[ \t])[ \t]{0,8}%s""" % (_REST_OF_NAME, _INNER_VALUE)
)
_NAME_THEN_VALUE = re.compile(
    rb"""%s\\*",\s{0,16}\\*"value\\*"\s{0,8}:\s{0,8}(?:"%s"|%s)""" % (_REST_OF_NAME, _JSON_STRING, _INNER_VALUE),
    re.IGNORECASE,
)
_UNQUOTED = re.compile(rb"""%s=(?P<bare>[^\s"'&;,(){}\\<>][^\s"'&;,)}\\<>]{0,65535})""" % _REST_OF_NAME)
_IDENTIFIER_OR_PARAMETER = re.compile(
    rb"(?:[a-z_]\w*\.[a-z_]\w*|[?]|[:$%@]\w{0,40}|\{\{.*|null|none|true|false)$", re.IGNORECASE
)
# `name: value` and `name = value` in files, headers and logs: words follow a colon, too, and columns an equals sign.
_LOOSE = re.compile(
    rb"""%s(?:[ \t]{0,4}:[ \t]{1,4}(?P<bare>(?=[^\s"']{0,512}[0-9])[^\s"'&;,(){}\\<>]{8,4096})"""
    rb"""|[ \t]{1,4}=[ \t]{1,4}(?P<equal>(?=[^\s"']{0,512}[0-9])(?![A-Za-z_]\w{0,512}[\s"'\\,;)])"""
    rb"""[^\s"'&;,(){}\\<>]{8,4096}))""" % _REST_OF_NAME
)
_OPTION = re.compile(rb"""--password[ \t]{1,4}(?P<bare>[^\s"'\\-][^\s"'\\]{3,256})""", re.IGNORECASE)
_ORACLE_THIN = re.compile(rb"""thin:[^\s"'/@]{1,128}/(?P<bare>[^\s"'/@\\]{1,256})@""", re.IGNORECASE)
_CURL_USER = re.compile(
    rb"""curl[^"\r\n]{0,200}? (?:-u|--user)[ =](?P<user>[^\s"':]{1,64}):(?P<bare>[^\s"'\\]{1,256})""", re.IGNORECASE
)
_IDENTIFIED_BY = re.compile(rb"""identified\s{1,8}by\s{1,8}(?:password\s{1,8})?%s""" % _INNER_VALUE, re.IGNORECASE)
_SCHEME_TOKEN = re.compile(rb"(?:bearer|basic)\s{1,4}(?P<bare>[A-Za-z0-9+/=._~-]{12,65536})", re.IGNORECASE)
_PRIVATE_KEY = re.compile(
    rb"private key-----(?P<bare>(?:[A-Za-z0-9+/=\s:,]|\\[nrt/\\]|-(?!-)){1,65536})", re.IGNORECASE
)


# How tokens of well-known services begin. Each pattern begins with plain bytes, which are looked for first.
_OWN_TOKEN = rb"(?P<bare>[A-Za-z0-9_.~+/=-]{4,4096})"
_TOKENS = {
    beginning: re.compile(re.escape(beginning) + rest)
    for beginning, rest in {
        b"AKIA": rb"(?P<bare>[A-Z0-9]{16})(?![A-Za-z0-9])",
        b"ASIA": rb"(?P<bare>[A-Z0-9]{16})(?![A-Za-z0-9])",
        b"ghp_": rb"(?P<bare>[A-Za-z0-9]{36,251})",
        b"gho_": rb"(?P<bare>[A-Za-z0-9]{36,251})",
        b"ghs_": rb"(?P<bare>[A-Za-z0-9]{36,251})",
        b"github_pat_": rb"(?P<bare>[A-Za-z0-9_]{22,251})",
        b"glpat-": rb"(?P<bare>[A-Za-z0-9_.-]{20,300})",
        b"xoxb-": rb"(?P<bare>[A-Za-z0-9-]{10,300})",
        b"xoxp-": rb"(?P<bare>[A-Za-z0-9-]{10,300})",
        b"sk_live_": rb"(?P<bare>[A-Za-z0-9]{16,300})",
        b"dapi": rb"(?P<bare>[0-9a-f]{32}(?:-[0-9])?)(?![A-Za-z0-9])",
        b"AIza": rb"(?P<bare>[A-Za-z0-9_-]{35})(?![A-Za-z0-9_-])",
        b"hvs.": rb"(?P<bare>[A-Za-z0-9_-]{24,300})",
        # A signed JSON Web Token: header, claims and signature, the first two of which begin with `{"`.
        b"eyJ": rb"(?P<bare>[A-Za-z0-9_-]{8,4096}\.eyJ[A-Za-z0-9_-]{4,16384}\.[A-Za-z0-9_-]{4,4096})",
    }.items()
}


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
    b"--password": _Rule(phrases=(_OPTION,)),
    b"pwd": _Rule(strong=(b"pwd",)),
    b"secret": _Rule(strong=(b"secret",)),
    b"key": _Rule(
        strong=(
            b"accountkey",
            b"account_key",
            b"api_key",
            b"apikey",
            b"api-key",
            b"access_key",
            b"private_key",
            b"account.key",
            b"sharedaccesskey=",
        ),
    ),
    b"private key-----": _Rule(phrases=(_PRIVATE_KEY,)),
    b"token": _Rule(
        strong=(
            b"sas_token",
            b"access_token",
            b"auth_token",
            b"session_token",
            b"refresh_token",
            b"security_token",
            b"api_token",
            b"api-token",
        ),
        weak=(b"token",),
    ),
    b"credential": _Rule(strong=(b"credentials",), weak=(b"credential=",)),
    b"sig": _Rule(weak=(b"signature", b"sig=")),
    b"identified": _Rule(phrases=(_IDENTIFIED_BY,)),
    b"thin:": _Rule(phrases=(_ORACLE_THIN,)),
    b"curl": _Rule(phrases=(_CURL_USER,)),
    b"bearer": _Rule(phrases=(_SCHEME_TOKEN,)),
    b"basic": _Rule(phrases=(_SCHEME_TOKEN,)),
}


class Redactor:
    """Cuts by the rules above, and by words of one's own: names whose values are secret, beginnings of tokens."""

    def __init__(self, names: Sequence[str] = (), prefixes: Sequence[str] = ()) -> None:
        own = {name.lower().encode(): _Rule(strong=(name.lower().encode(),)) for name in names}
        # A name that is a stem already adds to it.
        self._rules = {**own, **{stem: _added(rule, own.get(stem)) for stem, rule in _RULES.items()}}
        tokens = {prefix.encode(): re.compile(re.escape(prefix.encode()) + _OWN_TOKEN) for prefix in prefixes}
        self._tokens = {**_TOKENS, **tokens}

    def __call__(self, body: bytes) -> bytes:
        """The same bytes without the credentials that were recognised; the very same object if there were none."""
        spans = _user_info(body) if b"@" in body else []
        lowered = body.lower()
        for stem, rule in self._rules.items():
            if stem not in lowered:
                continue
            for word in rule.strong:
                spans += _occurrences(body, lowered, word, strong=True)
            for word in rule.weak:
                spans += _occurrences(body, lowered, word, strong=False)
            for pattern in rule.phrases:
                spans += [_value_span(match) for match in pattern.finditer(body)]
        for beginning, pattern in self._tokens.items():
            if beginning in body:
                spans += [match.span("bare") for match in pattern.finditer(body) if _stands_alone(body, match.start())]
        return _cut(body, spans) if spans else body


def _added(rule: _Rule, own: _Rule | None) -> _Rule:
    return rule if own is None else rule._replace(strong=(*rule.strong, *own.strong))


def _stands_alone(body: bytes, start: int) -> bool:
    """Whether no word goes on where a token would begin; an escaped line break before it is none."""
    before = body[start - 1 : start]
    return not (before.isalnum() or before == b"_") or body[start - 2 : start - 1] == b"\\"


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
    match = _NAME_THEN_VALUE.match(body, end)
    if match is None and (strong or body[end : end + 2] in {b'":', b'\\"'}):
        match = _MEMBER.match(body, end) or _NAMED_QUOTED.match(body, end)
    if match is not None:
        return _value_span(match)
    match = _UNQUOTED.match(body, end)
    if match is None and strong and (match := _LOOSE.match(body, end)) is not None:
        return None if _IDENTIFIER_OR_PARAMETER.match(match["bare"] or match["equal"]) else _value_span(match)
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
    for name in ("json", "nested", "sql", "bare", "equal"):
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


redact = Redactor()
"""By the rules above alone."""
