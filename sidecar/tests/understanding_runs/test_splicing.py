"""Members of an object are found in its text, and nothing else of it changes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_sidecar.members import Span, UnclearError, first_member, members_of, spliced, text_of
from sidecar.tests.understanding_runs.events import objects, texts

pytestmark = pytest.mark.requirement("RELAY-10", "HOUSE-3")


@settings(max_examples=25)
@given(st.data(), objects)
def test_each_member_is_where_it_stands_however_the_document_is_written(
    data: st.DataObject, document: dict[str, Any]
) -> None:
    text = data.draw(texts(document)).encode()

    found = members_of(text)

    assert {name: json.loads(text[span.start : span.end]) for name, span in found.items()} == document
    for name, span in found.items():
        value = document[name]
        assert text_of(text, span) == (value if isinstance(value, str) else None)


@settings(max_examples=25)
@given(st.data(), objects, objects)
def test_members_of_an_object_inside_are_found_in_the_whole_text(
    data: st.DataObject, inner: dict[str, Any], outer: dict[str, Any]
) -> None:
    text = data.draw(texts({**outer, "inside": inner})).encode()

    found = members_of(text, members_of(text)["inside"])

    assert {name: json.loads(text[span.start : span.end]) for name, span in found.items()} == inner


@settings(max_examples=25)
@given(st.data(), objects)
def test_a_first_member_is_added_and_the_rest_stays_byte_for_byte(
    data: st.DataObject, document: dict[str, Any]
) -> None:
    text = data.draw(texts(document)).strip(" \t\r\n").encode()

    grown = spliced(text, [first_member(Span(0, len(text)), b'"ours":1', alone=not document)])

    assert grown.endswith(text[1:])
    assert json.loads(grown) == {"ours": 1, **document}


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"b":2,"a":3}',
        b'{"a":{},"a":{}}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":10,"a":1}',
        b'{"a":"xxx}","a":1234}',
        b"[]",
        b"null",
        b"{",
        b'{"a":1}x',
        b"",
        b'{"a":"\xff"}"',
        b"[" * 100_000,
    ],
)
def test_what_is_no_object_or_says_a_name_twice_is_unclear(text: bytes) -> None:
    with pytest.raises(UnclearError):
        members_of(text)


@given(st.binary(max_size=64))
def test_no_bytes_whatever_are_worse_than_unclear(text: bytes) -> None:
    try:
        found = members_of(text)
    except UnclearError:
        return
    assert json.loads(text).keys() == found.keys()
