"""Reviews that are made and spoiled at random: each is allowed. `python -m tests.fuzz` sends as many as one likes."""

import pytest

from tests.fuzz.reviews import SEEDS, body_of, numbers, objection
from webhook.tests.serving.conftest import Serving

pytestmark = pytest.mark.requirement("HOUSE-3", "INV-1", "FP-7")

COUNT = 250
START = 5_000_000


async def test_every_review_is_allowed_and_every_patch_applies(serving: Serving) -> None:
    patched = 0
    for number in numbers(COUNT, START):
        uid, body = body_of(number)
        answer = await serving.client.post("/mutate", content=body, headers={"content-type": "application/json"})
        assert objection(uid, body, answer.status_code, answer.content) is None, f"body_of({number})"
        patched += b'"patch":' in answer.content
    assert patched > COUNT / 10, "too few pods were injected to show anything"


@pytest.mark.parametrize("number", SEEDS)
def test_a_number_gives_the_same_body_again(number: int) -> None:
    uid, body = body_of(number)
    assert body_of(number) == (uid, body)
    assert uid.encode() in body
