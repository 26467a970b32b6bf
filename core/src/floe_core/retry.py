"""Retries with exponential backoff and full jitter, on tenacity (requirements file 003 §5.3).

The delay before attempt n + 1 is a random share of `delay_seconds * backoff_factor ** (n - 1)`, capped: full jitter, so
that many clients of one backend do not come back together. An exception that carries `retry_after_seconds` is believed
instead (RFC 9110 §10.2.3), within the cap.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tenacity import RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity import retry as tenacity_retry

MAX_DELAY_SECONDS = 60.0

_Callable = TypeVar("_Callable", bound=Callable[..., Any])


def retry(
    max_attempts: int = 3,
    delay_seconds: float = 1.0,
    backoff_factor: float = 2.0,
    exceptions: tuple[type[Exception], ...] = (Exception,),
    *,
    max_delay_seconds: float = MAX_DELAY_SECONDS,
    sleep: Callable[[float], None] | Callable[[float], Awaitable[None]] | None = None,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Callable[[_Callable], _Callable]:
    """A decorator for functions and coroutine functions; after the last attempt the exception itself is raised.

    Args:
        max_attempts: Calls in all, at least 1.
        delay_seconds: Upper bound of the first delay.
        backoff_factor: What the bound grows by with every failure.
        exceptions: What is tried again; anything else is raised at once.
        max_delay_seconds: Upper bound of every delay, a Retry-After included.
        sleep: How to wait; the real clock by default.
        uniform: Source of randomness, `random.uniform` by default.
    """

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        told: float | None = getattr(error, "retry_after_seconds", None)
        if told is not None:
            return min(max(told, 0.0), max_delay_seconds)
        bound = min(delay_seconds * backoff_factor ** (state.attempt_number - 1), max_delay_seconds)
        return uniform(0.0, bound)

    waiting: dict[str, Any] = {"sleep": sleep} if sleep is not None else {}
    decorator: Callable[[_Callable], _Callable] = tenacity_retry(
        stop=stop_after_attempt(max_attempts),
        wait=wait,
        retry=retry_if_exception_type(exceptions),
        reraise=True,
        **waiting,
    )
    return decorator
