"""Bodies that a coverage-guided fuzzer has kept, each because it reached something new; every one is answered well."""

import pytest

from tests.fuzz.guided import SEEDS_FOLDER, complaint, kept_bodies

pytestmark = pytest.mark.requirement("HOUSE-3", "INV-1", "FP-7")


@pytest.mark.parametrize("name", [name for name, _ in kept_bodies()])
def test_a_kept_body_is_allowed_with_its_uid_and_a_patch_that_applies(name: str) -> None:
    assert complaint((SEEDS_FOLDER / f"{name}.json").read_bytes()) is None


def test_what_is_kept_is_worth_it_and_small() -> None:
    bodies = [body for _, body in kept_bodies()]
    assert len(bodies) > 10
    assert sum(map(len, bodies)) < 400_000


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"kind":"AdmissionReview","request":{"uid":"1"}}', id="no pod"),
        pytest.param(b'{"request":{"uid":"1"', id="half a body with a uid in its head"),
        pytest.param(b"[]", id="nobody to answer"),
    ],
)
def test_a_body_is_judged_by_whom_it_names(body: bytes) -> None:
    assert complaint(body) is None
