"""What only the cluster knows, by the second table of floe_webhook.decision."""

from typing import Any

import pytest

from floe_webhook.decision import Outcome
from floe_webhook.owners import Owner
from floe_webhook.reasons import Reason
from webhook.tests.builders import PROFILE, container, injected, pod, profile

pytestmark = pytest.mark.requirement("HOUSE-3")

DIRECT: dict[str, Any] = {"injection": {"sidecar": {"enabled": False}}}


@pytest.mark.parametrize(
    ("surroundings", "reason"),
    [
        pytest.param({"native_sidecars": False}, Reason.KUBERNETES_TOO_OLD, id="sidecars are not kept"),
        pytest.param({"sidecar_starts": False}, Reason.SIDECAR_DOES_NOT_START, id="the image does not start"),
    ],
)
def test_the_cluster_keeps_the_sidecar_out_and_the_environment_in(surroundings: dict[str, Any], reason: Reason) -> None:
    found = injected(pod(), **surroundings).plan
    assert (found.decision.outcome, found.decision.reasons) == (Outcome.ENVIRONMENT_ONLY, (reason,))
    assert found.sidecar is None
    assert "OTEL_SERVICE_NAME" in found.containers[0].environment.names


def test_limits_that_were_asked_for_in_vain_are_assumed_to_be_wide_and_that_is_told() -> None:
    found = injected(pod(), limits_unanswered=True).plan
    assert (found.decision.outcome, found.decision.reasons) == (Outcome.FULL, (Reason.LIMITS_UNSEEN,))


@pytest.mark.requirement("FP-12", "HOUSE-7")
@pytest.mark.parametrize(
    ("secrets", "reasons"),
    [
        pytest.param({}, (), id="nothing is known"),
        pytest.param({"other": None}, (), id="another one is missing"),
        pytest.param({"lineage-credentials": {"token", "more"}}, (), id="it is there"),
        pytest.param({"lineage-credentials": None}, (Reason.SECRET_MISSING,), id="it is missing"),
        pytest.param({"lineage-credentials": {"more"}}, (Reason.SECRET_KEY_MISSING,), id="its key is missing"),
        pytest.param({"lineage-credentials": frozenset()}, (Reason.SECRET_KEY_MISSING,), id="it is empty"),
    ],
)
@pytest.mark.parametrize("by", [pytest.param(PROFILE, id="sidecar"), pytest.param(profile(**DIRECT), id="direct")])
def test_a_missing_secret_is_told_and_the_pod_is_injected_all_the_same(
    by: Any, secrets: dict[str, Any], reasons: tuple[Reason, ...]
) -> None:
    known, unknown = injected(pod(), by=by, secrets=secrets).plan, injected(pod(), by=by).plan
    assert known.decision.outcome is unknown.decision.outcome
    assert set(known.decision.reasons) - set(unknown.decision.reasons) == set(reasons)
    assert (known.containers, known.volumes) == (unknown.containers, unknown.volumes)


@pytest.mark.requirement("FP-15")
def test_pods_of_one_confirmed_owner_share_a_service_name_whatever_their_jobs_are_called() -> None:
    names = set()
    for job in ("load-manual-1", "load-29384756"):
        document = pod(container(), labels={"batch.kubernetes.io/job-name": job}, name=None)
        plan = injected(document, owner=Owner("CronJob", "load", ("Job", job))).plan
        names |= {
            one.entry["value"] for one in plan.containers[0].environment.variables if one.name == "OTEL_SERVICE_NAME"
        }
    assert names == {"load"}
