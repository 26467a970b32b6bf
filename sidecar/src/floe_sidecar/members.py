"""Where the members of a JSON object stand in its text: what is needed to add to a document without writing it anew.

Everything that is not spliced stays byte for byte what it was: order, white space, spelling of numbers and escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

# Between two values: the end of one, the other's name. What is spelt without escapes is nearly every name.
_NAME = re.compile(rb'[ \t\n\r]*[{,][ \t\n\r]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t\n\r]*:[ \t\n\r]*')
_END = re.compile(rb"[ \t\n\r]*(\{[ \t\n\r]*)?\}[ \t\n\r]*")
_raw_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Span(NamedTuple):
    """From the first byte of a value up to the one behind its last."""

    start: int
    end: int


class UnclearError(Exception):
    """The text is no object, or one that says the same name twice: nothing may be added to it."""


def members_of(text: bytes, span: Span | None = None) -> dict[str, Span]:
    """The members of the object that a document is, or that stands in it at `span`, by name.

    Raises:
        UnclearError: There is no object, or it is not clear which of two values of one name counts.
    """
    start, end = span or Span(0, len(text))
    try:
        values = _raw_members.decode(text if span is None else memoryview(text)[start:end])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise UnclearError from None
    found: dict[str, Span] = {}
    at = start
    for name, value in values.items():
        match = _NAME.match(text, at)
        # A name that comes twice is there once, with its last value, so that the text soon says another name.
        if match is None or (match[1] != name.encode() and not _spells(match[1], name)):
            raise UnclearError
        begin = match.end()
        at = begin + len(value)
        found[name] = Span(begin, at)
    if _END.fullmatch(text, at, end) is None:
        raise UnclearError
    return found


def spliced(text: bytes, changes: Iterable[tuple[Span, bytes]]) -> bytes:
    """The text with other bytes in the place of each span; an empty span is a place to insert at."""
    parts: list[bytes] = []
    at = 0
    for span, replacement in sorted(changes):
        parts += (text[at : span.start], replacement)
        at = span.end
    return b"".join((*parts, text[at:]))


def first_member(of: Span, member: bytes, *, alone: bool) -> tuple[Span, bytes]:
    """The change that puts a member in front of those that the object at `of` has, or that is its only one."""
    place = of.start + 1
    return Span(place, place), member if alone else member + b","


def text_of(text: bytes, span: Span) -> str | None:
    """The string that stands at the span; None if something else does."""
    value = text[span.start : span.end]
    if not value.startswith(b'"'):
        return None
    try:
        return value[1:-1].decode() if b"\\" not in value else msgspec.json.decode(value, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _spells(key: bytes, name: str) -> bool:
    try:
        return b"\\" in key and bool(msgspec.json.decode(b'"%b"' % key, type=str) == name)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
