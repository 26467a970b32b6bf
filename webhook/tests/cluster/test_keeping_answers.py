"""Answers that are kept: for how long, how many, and who asks."""

import asyncio
from collections import Counter

import pytest

from floe_certs.api import RefusedError, UnreachableError
from floe_webhook.cluster.kept_answers import REFUSED_SECONDS, KeptAnswers
from floe_webhook.lookups import Lookup, Result

pytestmark = pytest.mark.requirement("FP-22", "BUDGET-3")


class Asking:
    """Answers with the key in capitals, or with a failure; counts who asks."""

    def __init__(self, *, most: int = 100) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.counted: Counter[Result] = Counter()
        self.failure: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.answers: KeptAnswers[str, str] = KeptAnswers(
            Lookup.OWNERS,
            self.ask,
            lambda _, result: self.counted.update([result]),
            holds_seconds=lambda _: 10,
            unanswered_seconds=5,
            most=most,
            monotonic=lambda: self.now,
        )

    async def ask(self, key: str) -> str:
        self.asked.append(key)
        await self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        return key.upper()


async def test_an_answer_holds_for_its_time() -> None:
    asking = Asking()
    assert [await asking.answers.get("a"), await asking.answers.get("a")] == ["A", "A"]
    asking.now = 9.9
    assert asking.answers.known("a") is not None
    asking.now = 10
    assert asking.answers.known("a") is None
    await asking.answers.get("a")
    assert asking.asked == ["a", "a"]


async def test_an_answer_that_a_busy_moment_made_old_is_still_that_of_who_asked() -> None:
    asking = Asking()
    await asking.answers.get("a")
    asking.now = 11
    assert asking.answers.last("a") == "A"
    assert asking.answers.last("b") is None


async def test_all_who_wait_for_one_answer_ask_once() -> None:
    asking = Asking()
    asking.may_answer.clear()
    waiting = [asyncio.ensure_future(asking.answers.get("a")) for _ in range(50)]
    await asyncio.sleep(0)
    asking.may_answer.set()
    assert await asyncio.gather(*waiting) == ["A"] * 50
    assert (asking.asked, asking.counted) == (["a"], {Result.ANSWERED: 1})


@pytest.mark.parametrize(
    ("failure", "seconds", "result"),
    [
        pytest.param(UnreachableError("no"), 5, Result.UNREACHABLE, id="no answer"),
        pytest.param(RefusedError("no"), REFUSED_SECONDS, Result.REFUSED, id="a refusal, longer"),
    ],
)
async def test_what_is_not_answered_is_not_asked_again_for_a_while(
    failure: Exception, seconds: float, result: Result
) -> None:
    asking = Asking()
    asking.failure = failure
    assert await asking.answers.get("a") is None
    asking.now = seconds - 0.1
    assert await asking.answers.get("a") is None
    assert (asking.asked, asking.counted) == (["a"], {result: 1})
    asking.now, asking.failure = seconds, None
    assert await asking.answers.get("a") == "A"


async def test_who_gives_up_asking_lets_all_who_wait_go_on_without_an_answer() -> None:
    asking = Asking()
    asking.may_answer.clear()
    first, second = (asyncio.ensure_future(asking.answers.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second is None
    with pytest.raises(asyncio.CancelledError):
        await first
    assert asking.counted == {Result.LATE: 1}


async def test_who_gives_up_waiting_takes_nobody_elses_answer_away() -> None:
    asking = Asking()
    asking.may_answer.clear()
    first, second = (asyncio.ensure_future(asking.answers.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    asking.may_answer.set()
    assert await first == "A"


async def test_only_so_many_answers_are_kept_and_those_used_last() -> None:
    asking = Asking(most=2)
    for key in ("a", "b", "a", "c"):
        await asking.answers.get(key)
    assert [key for key in "abc" if asking.answers.known(key)] == ["a", "c"]
