"""The ten invariants of injection, over generated pods; INV-2 as far as it needs no API server."""

import copy
import json
import re
from collections.abc import Mapping
from typing import Any, get_args

import jsonpatch
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_core.manifest.models import OverridableBy
from floe_webhook.profile import Profile
from floe_webhook.quantities import quantity
from floe_webhook.record import record_of
from floe_webhook.removal import removal
from floe_webhook.sidecar_container import is_guaranteed
from webhook.tests.builders import PROFILE, injected, profile
from webhook.tests.kubelet import environment
from webhook.tests.strategies import pods

Pod = dict[str, Any]
REFERENCE = re.compile(r"\$\(([^)]*)\)")
GENEROUS = profile(
    injection={
        "sidecar": {"image_pull_secrets": ["floe-registry", "registry"], "run_as_user": None},
        "overrides": {"allowed": list(get_args(OverridableBy)), "lineage_namespaces": ["{namespace}/*"]},
    }
)
OTHER = profile(injection={"gateway": {"url": "http://gateway.floe:4327"}, "containers": {"init_containers": False}})


platforms = st.sampled_from([PROFILE, GENEROUS])


def patched(pod: Pod, by: Profile = PROFILE) -> Pod:
    before = copy.deepcopy(pod)
    result: Pod = jsonpatch.apply_patch(pod, injected(pod, by=by).operations)
    assert pod == before
    return result


def all_containers(pod: Pod) -> dict[str, Pod]:
    spec = pod["spec"]
    return {entry["name"]: entry for entry in [*(spec.get("initContainers") or []), *spec["containers"]]}


def user_containers(pod: Pod) -> dict[str, Pod]:
    return {name: entry for name, entry in all_containers(pod).items() if name != "floe-sidecar"}


@pytest.mark.requirement("INV-1")
@given(pods())
def test_every_operation_adds_and_the_patch_applies(pod: Pod) -> None:
    operations = injected(pod).operations
    assert {operation["op"] for operation in operations} <= {"add"}
    assert operations
    # What arrives at the API server is JSON text.
    jsonpatch.JsonPatch.from_string(json.dumps(operations)).apply(pod)


@pytest.mark.requirement("INV-2", "INV-8")
@given(pods())
def test_no_name_appears_twice_that_did_not_before(pod: Pod) -> None:
    after = patched(pod)
    spec = after["spec"]
    containers = [entry["name"] for entry in [*(spec.get("initContainers") or []), *spec["containers"]]]
    assert len(containers) == len(set(containers))
    volumes = [volume["name"] for volume in spec.get("volumes") or []]
    assert len(volumes) == len(set(volumes))
    ports = [port["containerPort"] for entry in all_containers(after).values() for port in entry.get("ports") or []]
    own = [port["containerPort"] for port in all_containers(after).get("floe-sidecar", {}).get("ports", [])]
    assert all(ports.count(port) == 1 for port in own)
    for container in all_containers(after).values():
        names = [entry["name"] for entry in container.get("env") or []]
        assert len(names) == len(set(names))


@pytest.mark.requirement("INV-2", "FP-33")
@given(pods())
def test_what_is_written_is_of_the_shape_that_the_api_server_accepts(pod: Pod) -> None:
    after = patched(pod)
    for name, container in user_containers(after).items():
        before = {entry["name"]: entry for entry in all_containers(pod)[name].get("env") or []}
        for entry in container.get("env") or []:
            assert entry.keys() <= {"name", "value", "valueFrom"}
            assert not ("value" in entry and "valueFrom" in entry)
            if entry["name"] not in before:
                assert entry.get("value") or entry.get("valueFrom")
    sidecar = all_containers(after).get("floe-sidecar")
    if sidecar is not None:
        mounted = {mount["name"] for mount in sidecar["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in after["spec"]["volumes"]}
        assert after["spec"]["initContainers"][0] == sidecar


@pytest.mark.requirement("INV-3")
@given(pods(), platforms)
def test_taking_our_additions_out_restores_the_pod(pod: Pod, by: Profile) -> None:
    after = patched(pod, by)
    record = record_of(after)
    if record is None:
        assert after == pod
        return
    assert jsonpatch.apply_patch(after, removal(after, record)) == pod


@pytest.mark.requirement("INV-4")
@given(pods(), platforms)
def test_a_second_injection_changes_nothing(pod: Pod, by: Profile) -> None:
    after = patched(pod, by)
    assert jsonpatch.apply_patch(after, injected(after, by=by).operations) == after
    assert record_of(after) is None or injected(after, by=by).operations == []


@pytest.mark.requirement("INV-4")
@given(pods())
def test_another_manifests_injection_is_left_as_it_is(pod: Pod) -> None:
    assert injected(patched(pod), by=OTHER).operations == []


def with_foreign_sidecar(pod: Pod) -> Pod:
    """What a service mesh would do: a container at the end, an init container in front, a volume, an annotation."""
    result = copy.deepcopy(pod)
    spec = result["spec"]
    annotations = {"kubectl.kubernetes.io/default-container": spec["containers"][0]["name"]}
    result["metadata"]["annotations"] = annotations | (result["metadata"].get("annotations") or {})
    proxy = {"name": "proxy", "image": "proxy:2", "env": [{"name": "MESH", "value": "on"}]}
    spec["containers"].append(proxy)
    spec["initContainers"] = [{"name": "proxy-init", "image": "proxy:2"}, *(spec.get("initContainers") or [])]
    spec["volumes"] = [*(spec.get("volumes") or []), {"name": "proxy-certificates", "emptyDir": {}}]
    return result


def without_records(pod: Pod) -> Pod:
    """The record says which lists there were before us, which is a matter of the order."""
    result = copy.deepcopy(pod)
    (result["metadata"].get("annotations") or {}).pop("floe.dev/injection", None)
    return result


@pytest.mark.requirement("INV-5", "FP-19")
@given(pods(), platforms)
def test_another_injector_before_or_after_ends_equal(pod: Pod, by: Profile) -> None:
    before = patched(with_foreign_sidecar(pod), by)
    # The API server calls again what came first, once somebody else has changed the pod (reinvocationPolicy).
    after = patched(with_foreign_sidecar(patched(pod, by)), by)
    assert without_records(after) == without_records(before)


@pytest.mark.requirement("INV-6", "FP-7", "FP-14", "DEF-9")
@given(pods())
def test_nothing_of_the_users_changes_and_its_order_is_kept(pod: Pod) -> None:
    after = patched(pod)
    for name, before in all_containers(pod).items():
        now = all_containers(after)[name]
        theirs = before.get("env") or []
        mine = {entry["name"] for entry in now.get("env") or []} - {entry["name"] for entry in theirs}
        kept = [entry for entry in now.get("env") or [] if entry["name"] not in mine]
        for old, new in zip(theirs, kept, strict=True):
            if old["name"] == "OTEL_RESOURCE_ATTRIBUTES" and "valueFrom" not in old:
                assert new["value" if "value" in new else "name"].startswith(old.get("value", ""))
                assert new["name"] == old["name"]
            else:
                assert new == old
        assert {k: v for k, v in now.items() if k != "env"} == {k: v for k, v in before.items() if k != "env"}
    ours = {"metadata", "spec"}
    assert {k: v for k, v in after.items() if k not in ours} == {k: v for k, v in pod.items() if k not in ours}


def _unresolved(text: str) -> bool:
    return "$(" in text


@pytest.mark.requirement("INV-7", "DEF-5", "FP-13")
@given(pods())
def test_what_resolved_before_resolves_to_the_same_after(pod: Pod) -> None:
    after = patched(pod)
    for name, before in all_containers(pod).items():
        old, new = environment(before), environment(all_containers(after)[name])
        for variable, value in old.items():
            if not _unresolved(value) and variable != "OTEL_RESOURCE_ATTRIBUTES":
                assert new[variable] == value
            if variable == "OTEL_RESOURCE_ATTRIBUTES":
                assert _unresolved(value) or new[variable].startswith(value)


@pytest.mark.requirement("INV-7", "FP-13", "HOUSE-6")
@given(pods())
def test_every_reference_in_our_own_values_resolves(pod: Pod) -> None:
    after = patched(pod)
    for name, container in all_containers(after).items():
        theirs = {entry["name"] for entry in all_containers(pod).get(name, {}).get("env") or []}
        earlier: set[str] = set()
        for entry in container.get("env") or []:
            if entry["name"] not in theirs:
                assert set(REFERENCE.findall(entry.get("value", "").replace("$$", ""))) <= earlier
            earlier.add(entry["name"])


@pytest.mark.requirement("INV-9")
@given(pods())
def test_a_guaranteed_pod_stays_guaranteed(pod: Pod) -> None:
    assert is_guaranteed(patched(pod)) == is_guaranteed(pod)


@pytest.mark.requirement("INV-9", "FP-17")
@given(pods())
def test_the_sidecar_meets_the_restricted_standard(pod: Pod) -> None:
    sidecar: Mapping[str, Any] | None = all_containers(patched(pod)).get("floe-sidecar")
    if sidecar is None:
        return
    context = sidecar["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    # OpenShift's oldest rules refuse a profile; they come with one of their own.
    openshift = (pod["metadata"].get("annotations") or {}).get("openshift.io/scc")
    assert context.get("seccompProfile") == (None if openshift == "restricted" else {"type": "RuntimeDefault"})
    if pod["spec"].get("resources"):
        assert sidecar["resources"] == {}
        return
    for resource in ("cpu", "memory"):
        request, limit = (quantity(sidecar["resources"][kind][resource]) for kind in ("requests", "limits"))
        assert request is not None
        assert limit is not None
        assert request <= limit


@pytest.mark.requirement("INV-10")
@settings(max_examples=50)
@given(pods())
def test_the_same_pod_gives_the_same_bytes(pod: Pod) -> None:
    assert orjson.dumps(injected(pod).operations) == orjson.dumps(injected(copy.deepcopy(pod)).operations)


@pytest.mark.requirement("INV-4")
def test_the_profiles_of_these_tests_differ() -> None:
    assert PROFILE.identity != OTHER.identity
