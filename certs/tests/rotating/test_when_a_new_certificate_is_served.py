"""The table of `may_serve`: a replica changes its certificate only where no client can lose by it."""

from datetime import timedelta

import pytest

from certs.tests.builders import SERVER, START, brought
from floe_certs.inspection import Material, inspect
from floe_certs.trust import TrustHistory, may_serve

pytestmark = pytest.mark.requirement("FP-8", "HOUSE-3")

NEW, OLD = brought(), brought(lifetime=timedelta(days=30))
BOTH = NEW["ca.crt"] + OLD["ca.crt"]


def material(data: dict[str, bytes]) -> Material:
    return inspect(data, name=SERVER, now=START)


def history(*bundles: bytes, settled: bool) -> TrustHistory:
    seen = TrustHistory()
    entries = {f"entry {number}": bundle for number, bundle in enumerate(bundles)}
    seen.observe(entries, at=0)
    seen.observe(entries, at=10 if settled else 5)
    return seen


@pytest.mark.parametrize(
    ("current", "seen", "days", "changes"),
    [
        pytest.param(None, TrustHistory(), 0, True, id="nothing is served"),
        pytest.param(OLD, history(OLD["ca.crt"], settled=True), 30, True, id="what is served has ended"),
        pytest.param(OLD, history(BOTH, settled=True), 0, True, id="trusted everywhere since long"),
        pytest.param(OLD, history(BOTH, settled=False), 0, False, id="trusted everywhere, but not for long"),
        pytest.param(OLD, history(BOTH, OLD["ca.crt"], settled=True), 0, False, id="one entry does not trust it"),
        pytest.param(OLD, history(NEW["ca.crt"], settled=False), 0, True, id="what is served is not trusted any more"),
        pytest.param(OLD, history(brought()["ca.crt"], settled=True), 0, False, id="neither is trusted"),
        pytest.param(OLD, history(b"", settled=True), 0, False, id="nothing is trusted"),
        pytest.param(OLD, TrustHistory(), 0, False, id="nobody knows who is trusted"),
    ],
)
def test_a_replica_changes_only_when_no_client_can_lose(
    current: dict[str, bytes] | None, seen: TrustHistory, days: int, changes: bool
) -> None:
    served = None if current is None else material(current)
    settled = seen.settled(10)
    now = START + timedelta(days=days)
    assert may_serve(material(NEW), served, seen, settled, name=SERVER, now=now) is changes


def test_an_authority_that_was_away_for_a_moment_settles_anew() -> None:
    seen = TrustHistory()
    seen.observe({"a": BOTH}, 0)
    seen.observe({"a": OLD["ca.crt"]}, 50)
    seen.observe({"a": BOTH}, 60)
    seen.observe({"a": BOTH}, 65)
    assert seen.settled(10) == {OLD["ca.crt"]}
    seen.observe({"a": BOTH}, 70)
    assert seen.settled(10) == {OLD["ca.crt"], NEW["ca.crt"]}
