"""Whatever stands in a review in the place of what should, the core decides and never fails."""

import copy
from typing import Any

import jsonpatch
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_webhook.admission import Problem, Review, ReviewError, decode, encode, review, uid_in
from webhook.tests.builders import PROFILE, injected, pod
from webhook.tests.reviews import UID, admission_review
from webhook.tests.strategies import pods

pytestmark = pytest.mark.requirement("HOUSE-3")

junk = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.just("floe-sidecar"),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(["name", "env", "x"]), children),
    max_leaves=6,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a document."""
    found = [path] if path else []
    children = (
        document.items() if isinstance(document, dict) else enumerate(document if isinstance(document, list) else ())
    )
    for key, child in children:
        found += places(child, (*path, key))
    return found


def readable(body: bytes) -> Review | ReviewError:
    """The review, or why it is none."""
    try:
        return decode(body)
    except ReviewError as error:
        return error


@settings(max_examples=300)
@given(pods(), st.data())
def test_a_review_with_anything_anywhere_is_answered(pod: dict[str, Any], data: st.DataObject) -> None:
    if data.draw(st.booleans(), label="injected before"):
        pod = jsonpatch.apply_patch(pod, injected(pod).operations)
    # A copy: what a strategy samples must not be changed.
    document = copy.deepcopy(admission_review(pod))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from([place for place in places(document) if place != ("request", "uid")]))
        parent: Any = document
        for key in path:
            parent = parent[key]
        parent[last] = data.draw(junk)
        if not isinstance(document.get("request"), dict):
            document["request"] = {}
        document["request"]["uid"] = UID
    body = orjson.dumps(document)
    assert uid_in(body) is None or uid_in(body) == UID
    admitted = readable(body)
    if isinstance(admitted, ReviewError):
        assert admitted.uid == UID
        return
    answer = orjson.loads(encode(admitted.uid, review(admitted, PROFILE, namespace_label="enabled")))
    assert answer["response"]["allowed"] is True
    assert answer["response"]["uid"] == UID


@pytest.mark.parametrize(
    ("request_fields", "problem"),
    [
        pytest.param({"subResource": "ephemeralcontainers", "operation": "UPDATE"}, Problem.NOT_A_POD, id="ephemeral"),
        pytest.param({"subResource": "resize", "operation": "UPDATE"}, Problem.NOT_A_POD, id="a resize"),
        pytest.param({"operation": "UPDATE"}, Problem.NOT_A_CREATION, id="an update"),
    ],
)
def test_a_pod_that_runs_already_is_not_looked_at(request_fields: dict[str, Any], problem: Problem) -> None:
    with pytest.raises(ReviewError) as refused:
        decode(orjson.dumps(admission_review(pod(), **request_fields)))
    assert refused.value.problem is problem
    assert refused.value.uid == UID
