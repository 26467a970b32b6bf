"""Delays, attempts and Retry-After."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from floe_core.errors import ConnectionError as FloeConnectionError
from floe_core.retry import retry

pytestmark = pytest.mark.requirement("CC-5.3")


class BusyError(FloeConnectionError):
    retry_after_seconds = 7.0


class Flaky:
    """Fails a number of times, then answers."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


def upper(_low: float, high: float) -> float:
    return high


def test_a_call_that_succeeds_late_gives_its_answer() -> None:
    flaky = Flaky(2, FloeConnectionError("refused"))
    slept: list[float] = []

    assert retry(max_attempts=3, sleep=slept.append, uniform=upper)(flaky)() == "answer"
    assert slept == [1.0, 2.0]


def test_the_last_failure_is_raised_as_it_is() -> None:
    flaky = Flaky(9, FloeConnectionError("refused"))

    with pytest.raises(FloeConnectionError, match="refused"):
        retry(max_attempts=3, sleep=lambda _: None)(flaky)()
    assert flaky.calls == 3


def test_other_exceptions_are_not_tried_again() -> None:
    flaky = Flaky(1, KeyError("x"))

    with pytest.raises(KeyError):
        retry(exceptions=(FloeConnectionError,), sleep=lambda _: None)(flaky)()
    assert flaky.calls == 1


def test_a_retry_after_is_believed() -> None:
    slept: list[float] = []

    retry(sleep=slept.append, uniform=upper)(Flaky(1, BusyError("busy")))()
    assert slept == [7.0]


def test_a_retry_after_beyond_the_cap_is_capped() -> None:
    slept: list[float] = []

    retry(sleep=slept.append, max_delay_seconds=5.0)(Flaky(1, BusyError("busy")))()
    assert slept == [5.0]


async def test_a_coroutine_is_tried_again_too() -> None:
    flaky = Flaky(1, FloeConnectionError("refused"))
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    @retry(sleep=sleep, uniform=upper)
    async def call() -> str:
        return flaky()

    assert await call() == "answer"
    assert slept == [1.0]


@given(failures=st.integers(0, 8), delay=st.floats(0.01, 5), factor=st.floats(1, 4), cap=st.floats(0.01, 30))
def test_delays_stay_within_their_bounds(failures: int, delay: float, factor: float, cap: float) -> None:
    slept: list[float] = []
    flaky = Flaky(failures, FloeConnectionError("refused"))

    retry(10, delay, factor, max_delay_seconds=cap, sleep=slept.append)(flaky)()

    assert len(slept) == failures
    for number, seconds in enumerate(slept):
        assert 0 <= seconds <= min(delay * factor**number, cap)
