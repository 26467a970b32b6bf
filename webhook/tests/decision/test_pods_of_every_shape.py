"""What the sidecar is like in pods of unusual shapes: the table "Shapes of pods" of docs/injection.md."""

import json
from typing import Any

import jsonpatch
import pytest

from floe_core.manifest.models import Manifest
from floe_sidecar.settings import PROTOCOL, PROTOCOL_VARIABLE
from floe_sidecar.settings.protocol import settings_from
from floe_webhook.decision import Outcome
from floe_webhook.plan import Plan
from floe_webhook.profile import Profile
from floe_webhook.quantities import quantity
from floe_webhook.reasons import Reason
from floe_webhook.record import record_of
from floe_webhook.removal import removal
from webhook.tests.builders import PROFILE, Pod, container, injected, pod, profile

pytestmark = pytest.mark.requirement("HOUSE-3")

OPENSHIFT_RULES = "openshift.io/scc"
GUARANTEED = {"limits": {"cpu": "1", "memory": "1Gi"}}
ADMITTED: dict[str, Any] = {"schedulerName": "default-scheduler", "serviceAccountName": "default"}


def planned(document: Pod, by: Profile = PROFILE) -> Plan:
    return injected(document, by=by).plan


def sidecar_of(document: Pod, by: Profile = PROFILE) -> dict[str, Any]:
    found = planned(document, by).sidecar
    assert found is not None
    return dict(found)


def settings_of(sidecar: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in sidecar["env"]}


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({"hostUsers": False}, id="a user namespace"),
        pytest.param({"hostPID": True, "hostIPC": True}, id="the node's processes"),
        pytest.param({"securityContext": {"runAsNonRoot": True}}, id="a pod that has to be non-root"),
        pytest.param({"securityContext": {"fsGroup": 2000, "supplementalGroups": [3000]}}, id="a group for volumes"),
        pytest.param({"securityContext": {"runAsUser": 0}}, id="a pod that runs as root"),
        pytest.param({"automountServiceAccountToken": False}, id="no token"),
        pytest.param({"restartPolicy": "Never", "activeDeadlineSeconds": 60}, id="a job's pod"),
        pytest.param({"runtimeClassName": "kata"}, id="another runtime"),
    ],
)
@pytest.mark.requirement("FP-17")
def test_the_sidecar_is_the_same_in(shape: dict[str, Any]) -> None:
    plan = planned(pod(**shape))
    assert plan.decision.outcome is Outcome.FULL
    assert plan.decision.reasons == ()
    usual = planned(pod(restartPolicy=shape.get("restartPolicy", "Always")))
    assert plan.sidecar == usual.sidecar
    assert plan.volumes == usual.volumes


def test_a_shared_process_namespace_is_told() -> None:
    plan = planned(pod(shareProcessNamespace=True))
    assert plan.decision.outcome is Outcome.FULL
    assert plan.decision.reasons == (Reason.PROCESSES_SHARED,)
    asked = pod(shareProcessNamespace=True, annotations={"floe.dev/environment-only": "true"})
    assert planned(asked).decision.reasons == (Reason.ENVIRONMENT_ONLY_ASKED,)


@pytest.mark.requirement("FP-17")
@pytest.mark.parametrize(
    ("rules", "pods_user", "containers_user", "user"),
    [
        pytest.param("restricted-v2", None, 1000680000, 1000680000, id="the user of the namespace's range"),
        pytest.param("nonroot-v2", None, 1000, 1000, id="the user that the container chose"),
        pytest.param("anyuid", None, None, 65532, id="rules that let anybody in"),
        pytest.param("anyuid", 0, 0, 65532, id="root, where root may be"),
        pytest.param(None, None, 1000680000, 65532, id="no OpenShift"),
    ],
)
def test_the_sidecars_user_fits_openshifts_rules(
    rules: str | None, pods_user: int | None, containers_user: int | None, user: int
) -> None:
    annotations = {OPENSHIFT_RULES: rules} if rules else {}
    context = {} if containers_user is None else {"runAsUser": containers_user}
    of_pod = {} if pods_user is None else {"runAsUser": pods_user}
    document = pod(container(securityContext=context), annotations=annotations, securityContext=of_pod)
    found = sidecar_of(document)["securityContext"]
    assert found["runAsUser"] == user
    assert found["runAsNonRoot"] is True
    assert found["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.requirement("FP-17")
def test_openshifts_oldest_rules_get_no_seccomp_profile() -> None:
    document = pod(container(securityContext={"runAsUser": 1000680000}), annotations={OPENSHIFT_RULES: "restricted"})
    assert "seccompProfile" not in sidecar_of(document)["securityContext"]


@pytest.mark.requirement("FP-17")
def test_the_user_may_be_left_to_the_platform_but_is_never_root() -> None:
    by = profile(injection={"sidecar": {"run_as_user": None}})
    found = sidecar_of(pod(), by)["securityContext"]
    assert not {"runAsUser", "runAsGroup"} & found.keys()
    assert sidecar_of(pod(securityContext={"runAsUser": 0}), by)["securityContext"]["runAsUser"] == 65532


@pytest.mark.requirement("INV-9")
@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        pytest.param(
            {"containers": [container(resources=GUARANTEED)]},
            {"limits": {"cpu": "250m", "memory": "64Mi"}, "requests": {"cpu": "250m", "memory": "64Mi"}},
            id="Guaranteed",
        ),
        pytest.param(
            {
                "containers": [container(resources=GUARANTEED)],
                "initContainers": [container("own", restartPolicy="Always")],
            },
            {"limits": {"cpu": "250m", "memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "48Mi"}},
            id="Guaranteed but for a native sidecar",
        ),
        pytest.param({"resources": GUARANTEED}, {}, id="resources of the whole pod"),
        pytest.param(
            {"containers": [container(resources=GUARANTEED)], "resources": {}},
            {"limits": {"cpu": "250m", "memory": "64Mi"}, "requests": {"cpu": "250m", "memory": "64Mi"}},
            id="Guaranteed beside empty resources of the pod",
        ),
    ],
)
def test_the_pods_quality_of_service_stays(shape: dict[str, Any], expected: dict[str, Any]) -> None:
    document = pod()
    document["spec"] |= shape
    assert sidecar_of(document)["resources"] == expected


@pytest.mark.parametrize(
    ("annotations", "requests", "limits"),
    [
        pytest.param({"cpu-limit": "1"}, ("10m", "48Mi"), ("1", "64Mi"), id="a limit"),
        pytest.param({"memory-request": "256Mi"}, ("10m", "256Mi"), ("250m", "256Mi"), id="the limit follows"),
        pytest.param({"cpu-request": "20m"}, ("20m", "48Mi"), ("250m", "64Mi"), id="a request below the limit"),
        pytest.param(
            {"memory-request": "64Mi", "memory-limit": "128Mi"}, ("10m", "64Mi"), ("250m", "128Mi"), id="both"
        ),
        pytest.param({"memory-limit": "2Gi"}, ("10m", "48Mi"), ("250m", "64Mi"), id="more than the platform gives"),
    ],
)
@pytest.mark.requirement("FP-28")
def test_a_pod_may_size_its_sidecar(
    annotations: dict[str, str], requests: tuple[str, str], limits: tuple[str, str]
) -> None:
    document = pod(annotations={f"floe.dev/sidecar-{name}": text for name, text in annotations.items()})
    found = sidecar_of(document)["resources"]
    assert (found["requests"]["cpu"], found["requests"]["memory"]) == requests
    assert (found["limits"]["cpu"], found["limits"]["memory"]) == limits
    guaranteed = document | {"spec": {"containers": [container(resources=GUARANTEED)]}}
    assert sidecar_of(guaranteed)["resources"] == {
        "limits": {"cpu": limits[0], "memory": limits[1]},
        "requests": {"cpu": limits[0], "memory": limits[1]},
    }


def test_where_only_the_limit_is_given_the_request_follows_below_it() -> None:
    by = profile(injection={"sidecar": {"resources": {"requests": {"cpu": "200m", "memory": "48Mi"}}}})
    found = sidecar_of(pod(annotations={"floe.dev/sidecar-cpu-limit": "100m"}), by)["resources"]
    assert found["requests"]["cpu"] == found["limits"]["cpu"] == "100m"
    assert quantity(found["requests"]["memory"]) == quantity("48Mi")


@pytest.mark.requirement("HOUSE-5")
def test_the_sidecar_is_told_by_which_agreement_the_rest_is_meant() -> None:
    told = settings_of(sidecar_of(pod()))
    assert told[PROTOCOL_VARIABLE] == str(PROTOCOL)
    assert settings_from(told)[1] == ()


def test_a_pod_may_make_its_sidecar_say_more() -> None:
    found = settings_of(sidecar_of(pod(annotations={"floe.dev/sidecar-log-level": "debug"})))
    assert found["FLOE_SIDECAR_LOG_LEVEL"] == "DEBUG"
    assert settings_of(sidecar_of(pod()))["FLOE_SIDECAR_LOG_LEVEL"] == "INFO"


@pytest.mark.requirement("FP-30")
@pytest.mark.parametrize(
    ("port", "moved"),
    [
        pytest.param({"containerPort": 4327}, True, id="declared by a container"),
        pytest.param({"containerPort": 4327, "protocol": "UDP"}, True, id="declared for UDP"),
        pytest.param({"containerPort": 8080, "hostPort": 4327}, False, id="a port of the node"),
    ],
)
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_the_sidecars_ports_keep_clear_of_what_is_declared(kind: str, port: dict[str, Any], *, moved: bool) -> None:
    document = pod()
    document["spec"].setdefault(kind, []).append(container("other", ports=[port], restartPolicy="Always"))
    plan = planned(document)
    assert (Reason.PORT_MOVED in plan.decision.reasons) is moved
    assert plan.sidecar is not None
    assert (settings_of(plan.sidecar)["FLOE_SIDECAR_PORT"] == "4327") is not moved


@pytest.mark.requirement("FP-5", "INV-8")
def test_a_users_own_native_sidecars_come_after_ours_as_they_were() -> None:
    own = [container("proxy", restartPolicy="Always"), container("migrate"), container("logs", restartPolicy="Always")]
    document = pod(initContainers=own, annotations={"floe.dev/init-containers": "false"})
    after = jsonpatch.apply_patch(document, injected(document).operations)
    assert [one["name"] for one in after["spec"]["initContainers"]] == ["floe-sidecar", "proxy", "migrate", "logs"]
    assert after["spec"]["initContainers"][1:] == own


WITH_PULL_SECRETS = profile(
    injection={
        "sidecar": {
            "image": "registry.example/floe-sidecar@sha256:" + "0" * 64,
            "image_pull_secrets": ["floe-registry", "registry"],
        }
    }
)


def test_an_image_by_digest_is_pulled_with_the_manifests_secrets_beside_the_pods_own() -> None:
    document = pod(**ADMITTED, imagePullSecrets=[{"name": "registry"}])
    after = jsonpatch.apply_patch(document, injected(document, by=WITH_PULL_SECRETS).operations)
    assert after["spec"]["imagePullSecrets"] == [{"name": "registry"}, {"name": "floe-registry"}]
    sidecar = after["spec"]["initContainers"][0]
    assert sidecar["image"] == "registry.example/floe-sidecar@sha256:" + "0" * 64
    assert sidecar["imagePullPolicy"] == "IfNotPresent"
    record = record_of(after)
    assert record is not None
    assert jsonpatch.apply_patch(after, removal(after, record)) == document


def test_a_pod_without_pull_secrets_gets_the_list() -> None:
    document = pod(**ADMITTED)
    after = jsonpatch.apply_patch(document, injected(document, by=WITH_PULL_SECRETS).operations)
    assert after["spec"]["imagePullSecrets"] == [{"name": "floe-registry"}, {"name": "registry"}]
    record = record_of(after)
    assert record is not None
    assert jsonpatch.apply_patch(after, removal(after, record)) == document


def test_a_file_keeps_its_service_accounts_pull_secrets() -> None:
    plan = planned(pod(serviceAccountName="loader"), WITH_PULL_SECRETS)
    assert plan.pull_secrets == ()
    assert plan.decision.reasons == (Reason.PULL_SECRETS_LEFT_OUT,)


@pytest.mark.requirement("HOUSE-8")
def test_an_image_with_a_space_in_it_is_no_image() -> None:
    with pytest.raises(ValueError, match="image"):
        Manifest.model_validate(
            {
                "apiVersion": "floe.dev/v1",
                "kind": "Manifest",
                "metadata": {"name": "platform"},
                "injection": {"sidecar": {"image": "floe-sidecar: 1"}},
            }
        )


@pytest.mark.requirement("INV-2")
def test_annotations_that_leave_no_room_for_ours_keep_us_out() -> None:
    # apimachinery counts the bytes of all names and values: 256 KiB.
    for size, outcome in ((250 * 1024, Outcome.FULL), (256 * 1024 - len("note"), Outcome.NONE)):
        found = injected(pod(annotations={"note": "x" * size}))
        assert found.plan.decision.outcome is outcome
        assert bool(found.operations) is (outcome is Outcome.FULL)
        if outcome is Outcome.NONE:
            assert found.plan.decision.reasons == (Reason.ANNOTATIONS_FULL,)
    wide = injected(pod(annotations={"note": "é" * (127 * 1024)}))
    assert wide.plan.decision.outcome is Outcome.FULL
    assert injected(pod(annotations={"note": "é" * (128 * 1024 - 10)})).plan.decision.outcome is Outcome.NONE


def test_the_record_names_the_annotations_that_do_not_count() -> None:
    annotations = {"floe.dev/product": "a b", "floe.dev/tenant": "acme", "floe.dev/contaners": "app"}
    document = pod(annotations=annotations)
    after = jsonpatch.apply_patch(document, injected(document).operations)
    record = json.loads(after["metadata"]["annotations"]["floe.dev/injection"])
    assert record["refused"] == {
        "annotation_invalid": ["floe.dev/product"],
        "annotation_forbidden": ["floe.dev/tenant"],
        "annotation_unknown": ["floe.dev/contaners"],
    }


@pytest.mark.requirement("INV-1")
@pytest.mark.parametrize(
    "part",
    [
        pytest.param({"metadata": {"labels": {"floe.dev/inject": "true"}, "annotations": []}}, id="annotations"),
        pytest.param({"spec": {"containers": [container(env={"A": "1"})]}}, id="env as a mapping"),
        pytest.param({"spec": {"containers": [container()], "volumes": {"data": {}}}}, id="volumes as a mapping"),
        pytest.param({"spec": {"containers": [container()], "initContainers": "none"}}, id="a word for a list"),
    ],
)
def test_where_nothing_can_be_added_the_pod_is_left_as_it_is(part: dict[str, Any]) -> None:
    found = injected(pod() | part)
    assert found.operations == []
    assert Reason.SHAPE_UNKNOWN in found.plan.decision.reasons
