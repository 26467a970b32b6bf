"""What an answer means, how long is waited, and when a backend is asked again: pure rules with their tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_sidecar.retries import Answer, Backoff, Breaker, Meaning, meaning, retry_after_seconds

pytestmark = pytest.mark.requirement("RELAY-4", "CC-5.3")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Meaning.DELIVERED),
        (201, Meaning.DELIVERED),
        (204, Meaning.DELIVERED),
        (None, Meaning.AWAY),
        (401, Meaning.UNAUTHORISED),
        (403, Meaning.UNAUTHORISED),
        (429, Meaning.PATIENCE),
        (503, Meaning.PATIENCE),
        (408, Meaning.FAILING),
        (425, Meaning.FAILING),
        (500, Meaning.FAILING),
        (502, Meaning.FAILING),
        (504, Meaning.FAILING),
        (599, Meaning.FAILING),
        (301, Meaning.REJECTED),
        (400, Meaning.REJECTED),
        (404, Meaning.REJECTED),
        (413, Meaning.REJECTED),
        (422, Meaning.REJECTED),
    ],
)
def test_an_answers_meaning(status: int | None, expected: Meaning) -> None:
    assert meaning(Answer(status)) is expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("Wed, 21 Oct 2015 07:28:10 GMT", 10.0),
        ("Wednesday, 21-Oct-15 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("²", None),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_seconds(text, now=1_445_412_480.0) == seconds


@given(st.text())
def test_a_strange_retry_after_is_no_reason_to_fail(text: str) -> None:
    seconds = retry_after_seconds(text, now=0.0)
    assert seconds is None or seconds >= 0.0


@given(failures=st.integers(1, 10_000), draw=st.floats(0, 1))
def test_a_delay_is_anything_between_nothing_and_a_bound_that_doubles(failures: int, draw: float) -> None:
    delay = Backoff(0.5, 30.0, lambda: draw).delay(failures)
    bound = min(30.0, 0.5 * 2.0 ** min(failures - 1, 100))
    assert delay == pytest.approx(draw * bound)


def breaker() -> Breaker:
    return Breaker(Backoff(1.0, 8.0, lambda: 1.0))


def test_a_working_backend_is_asked_as_often_as_wanted() -> None:
    assert breaker().allows(0.0, under_way=100)


def test_a_backend_that_is_away_is_asked_once_at_a_time_and_ever_more_rarely() -> None:
    subject = breaker()
    moments = []
    now = 0.0
    for _ in range(6):
        subject.failed(now, Meaning.AWAY, asked_seconds=None)
        assert not subject.allows(subject.open_until - 0.01, under_way=0)
        now = subject.open_until
        moments.append(now)
        assert subject.allows(now, under_way=0)
        assert not subject.allows(now, under_way=1)
    assert moments == [1, 3, 7, 15, 23, 31]
    subject.passed()
    assert subject.allows(now, under_way=100)


def test_a_single_failing_answer_stops_nothing_but_three_in_a_row_do() -> None:
    subject = breaker()
    for number in range(3):
        assert subject.allows(0.0, under_way=0), number
        subject.failed(0.0, Meaning.FAILING, asked_seconds=None)
    assert not subject.allows(0.0, under_way=0)


def test_the_delay_that_the_backend_asks_for_is_the_one_that_counts() -> None:
    subject = breaker()
    subject.failed(0.0, Meaning.PATIENCE, asked_seconds=17.0)
    assert subject.open_until == 17.0
    subject.try_now()
    assert subject.allows(0.0, under_way=0)
