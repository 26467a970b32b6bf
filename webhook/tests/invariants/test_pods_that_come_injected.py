"""Pods that carry a record of ours already: by which rule they are left alone or injected anew, never twice."""

import copy
import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import given

from floe_webhook.decision import Outcome
from floe_webhook.profile import Profile
from floe_webhook.reasons import Reason
from floe_webhook.record import FORMAT
from webhook.tests.builders import PROFILE, Pod, container, injected, pod, profile
from webhook.tests.strategies import pods

pytestmark = pytest.mark.requirement("INV-4", "INV-8", "HOUSE-3")

RECORD = "floe.dev/injection"
UPGRADING = profile(injection={"upgrade_injected": True, "sidecar": {"image": "floe-sidecar:2"}})


def patched(document: Pod, by: Profile = PROFILE) -> Pod:
    result: Pod = jsonpatch.apply_patch(document, injected(document, by=by).operations)
    return result


def with_record(document: Pod, **changes: Any) -> Pod:
    """An injected pod whose record says something else; None takes a key out."""
    result = patched(document)
    record = json.loads(result["metadata"]["annotations"][RECORD]) | changes
    text = json.dumps({key: value for key, value in record.items() if value is not None})
    result["metadata"]["annotations"][RECORD] = text
    return result


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"version": "0.0.9"}, id="by an older version"),
        pytest.param({"version": "9.0.0", "format": FORMAT + 1}, id="by a newer version with a record of its own"),
        pytest.param({"profile": "0123456789ab"}, id="for another manifest"),
    ],
)
def test_a_pod_that_was_injected_otherwise_is_left_as_it_is(changes: dict[str, Any]) -> None:
    found = injected(with_record(pod(), **changes))
    assert found.operations == []
    assert found.plan.decision.reasons == (Reason.INJECTED_OTHERWISE,)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"version": "0.0.9"}, id="by an older version"),
        pytest.param({"version": "0.0.9", "format": None}, id="by a version whose records had no format"),
        pytest.param({"version": "9.0.0"}, id="by a newer version with the same record"),
        pytest.param({}, id="for another manifest"),
    ],
)
def test_where_the_manifest_says_so_it_is_injected_anew(changes: dict[str, Any]) -> None:
    document = pod(container(variables={"A": "1"}))
    found = injected(with_record(document, **changes), by=UPGRADING)
    assert found.plan.decision.outcome is Outcome.FULL
    assert found.plan.decision.reasons == (Reason.UPGRADED,)
    assert jsonpatch.apply_patch(with_record(document, **changes), found.operations) == patched(document, UPGRADING)


@pytest.mark.parametrize("number", [FORMAT + 1, 0, "1", {}])
def test_a_record_that_cannot_be_read_is_never_touched(number: object) -> None:
    found = injected(with_record(pod(), version="0.0.9", format=number), by=UPGRADING)
    assert found.operations == []
    assert found.plan.decision.reasons == (Reason.INJECTED_OTHERWISE,)


@given(pods())
def test_an_upgrade_ends_where_a_first_injection_would(document: Pod) -> None:
    assert patched(patched(document), UPGRADING) == patched(document, UPGRADING)


def with_limit_range_defaults(document: Pod) -> Pod:
    """What the API server's LimitRanger does between two looks of ours, and what another injector may do."""
    result = copy.deepcopy(document)
    sidecar = result["spec"]["initContainers"][0]
    assert sidecar["name"] == "floe-sidecar"
    sidecar["resources"]["limits"]["ephemeral-storage"] = "1Gi"
    sidecar["volumeMounts"].append({"name": "mesh", "mountPath": "/mesh"})
    sidecar["env"].insert(0, {"name": "MESH", "value": "on"})
    return result


@pytest.mark.requirement("FP-18", "FP-19", "INV-5")
def test_what_others_add_to_the_sidecar_is_not_undone() -> None:
    changed = with_limit_range_defaults(patched(pod()))
    assert injected(changed).operations == []


@pytest.mark.requirement("FP-18", "FP-19", "INV-5")
def test_what_others_add_to_the_sidecar_stays_where_the_pod_is_injected_again() -> None:
    changed = with_limit_range_defaults(patched(pod()))
    changed["spec"]["containers"].append(container("proxy"))
    after = patched(changed)
    (before,), (sidecar,) = changed["spec"]["initContainers"], after["spec"]["initContainers"]
    for variable in sidecar["env"]:
        if variable["name"] == "FLOE_SIDECAR_POD_CONTAINERS":  # what it is told of them has to follow
            variable["value"], _, new = variable["value"].rpartition(",")
            assert new.startswith("proxy=")
    assert sidecar == before
    assert {"OTEL_SERVICE_NAME"} <= {entry["name"] for entry in after["spec"]["containers"][1]["env"]}


@pytest.mark.requirement("HOUSE-7")
def test_a_sidecar_that_somebody_has_changed_is_made_what_it_was() -> None:
    changed = patched(pod())
    changed["spec"]["initContainers"][0]["securityContext"]["runAsNonRoot"] = False
    assert patched(changed) == patched(pod())
