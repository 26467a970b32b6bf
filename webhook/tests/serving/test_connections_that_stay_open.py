"""An answer says what HTTP asks for, whether its connection stays open or not."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from webhook.tests.builders import pod
from webhook.tests.reviews import UID, admission_review
from webhook.tests.serving.conftest import Serving

pytestmark = pytest.mark.requirement("HOUSE-3")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        pytest.param({}, None, id="one that stays open"),
        pytest.param({"Connection": "close"}, "close", id="one that the client has closed"),
    ],
)
async def test_an_answer_has_its_type_length_and_time_on(
    serving: Serving, asked: dict[str, str], told: str | None
) -> None:
    for _ in range(2):
        found = await serving.client.post("/mutate", json=admission_review(pod()), headers=asked)
        assert found.json()["response"]["uid"] == UID
        assert found.headers["Content-Type"] == "application/json"
        assert found.headers["Content-Length"] == str(len(found.content))
        assert found.headers.get("Connection") == told
        said = parsedate_to_datetime(found.headers["Date"])
        assert abs(datetime.now(UTC) - said) < timedelta(minutes=1)
