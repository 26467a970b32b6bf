"""The truth table of floe_webhook.decision, the vetoes and the limits."""

from typing import Any

import pytest

from floe_sidecar.settings import DEFAULT_HEALTH_PORT, DEFAULT_PORT
from floe_webhook.decision import Decision, Facts, Outcome, Rules, decide
from floe_webhook.ports import DEFAULT_PORTS, Ports
from floe_webhook.reasons import Effect, Reason
from webhook.tests.builders import container, pod

RULES = Rules(excluded_namespaces=frozenset({"kube-system", "floe-system"}))


def decision(document: dict[str, Any], *, namespace: str = "sales", namespace_label: str | None = None) -> Decision:
    return decide(Facts(document, namespace, namespace_label), RULES)


def labelled(value: str | None) -> dict[str, Any]:
    document = pod()
    del document["metadata"]["labels"]["floe.dev/inject"]
    if value is not None:
        document["metadata"]["labels"]["floe.dev/inject"] = value
    return document


@pytest.mark.requirement("HOUSE-2")
@pytest.mark.parametrize(
    ("namespace_label", "pod_label", "reason"),
    [
        pytest.param("enabled", None, None, id="an enabled namespace opts a silent pod in"),
        pytest.param("true", None, None, id="true means enabled on a namespace"),
        pytest.param(None, "enabled", None, id="a pod opts itself in"),
        pytest.param(None, "true", None, id="true means enabled on a pod"),
        pytest.param("disabled", "enabled", None, id="a pod's enabled beats its namespace"),
        pytest.param("nonsense", "enabled", None, id="a pod's enabled beats nonsense on its namespace"),
        pytest.param("enabled", "false", Reason.POD_OPTED_OUT, id="a pod's own false beats its namespace"),
        pytest.param("enabled", "disabled", Reason.POD_OPTED_OUT, id="a pod's own disabled beats its namespace"),
        pytest.param("enabled", "yes", Reason.POD_LABEL_UNKNOWN, id="a pod's unknown value never injects"),
        pytest.param("enabled", "", Reason.POD_LABEL_UNKNOWN, id="an empty value is an unknown value"),
        pytest.param("disabled", None, Reason.NOT_OPTED_IN, id="a disabled namespace does not opt in"),
        pytest.param("yes", None, Reason.NAMESPACE_LABEL_UNKNOWN, id="a namespace's unknown value is told"),
        pytest.param(None, None, Reason.NOT_OPTED_IN, id="without a label nothing happens"),
    ],
)
def test_labels_decide_by_the_table(namespace_label: str | None, pod_label: str | None, reason: Reason | None) -> None:
    found = decision(labelled(pod_label), namespace_label=namespace_label)
    assert found.outcome is (Outcome.FULL if reason is None else Outcome.NONE)
    assert found.reasons == ((reason,) if reason else ())


@pytest.mark.requirement("HOUSE-2", "HOUSE-3", "FP-6")
@pytest.mark.parametrize(
    ("document", "namespace", "reason"),
    [
        pytest.param(pod(), "kube-system", Reason.NAMESPACE_EXCLUDED, id="kube-system"),
        pytest.param(pod(), "floe-system", Reason.NAMESPACE_EXCLUDED, id="the release's own namespace"),
        pytest.param(
            pod(annotations={"kubernetes.io/config.mirror": "a1"}), "sales", Reason.MIRROR_POD, id="a mirror pod"
        ),
        pytest.param(
            pod(priorityClassName="system-node-critical"), "sales", Reason.CLUSTER_CRITICAL, id="a critical pod"
        ),
        pytest.param(
            pod(labels={"floe.dev/injected": "true"}), "sales", Reason.ALREADY_INJECTED, id="a label without a record"
        ),
        pytest.param(
            pod(initContainers=[container("floe-sidecar")]), "sales", Reason.ALREADY_INJECTED, id="a sidecar by hand"
        ),
    ],
)
def test_a_veto_keeps_us_out(document: dict[str, Any], namespace: str, reason: Reason) -> None:
    found = decision(document, namespace=namespace)
    assert found.outcome is Outcome.NONE
    assert found.reasons == (reason,)


@pytest.mark.requirement("HOUSE-3", "FP-30")
@pytest.mark.parametrize(
    ("document", "reason"),
    [
        pytest.param(pod(hostNetwork=True), Reason.HOST_NETWORK, id="the node's network"),
        pytest.param(pod(os={"name": "windows"}), Reason.WINDOWS, id="Windows by its field"),
        pytest.param(pod(nodeSelector={"kubernetes.io/os": "windows"}), Reason.WINDOWS, id="Windows by its node"),
        pytest.param(
            pod(annotations={"floe.dev/environment-only": "true"}), Reason.ENVIRONMENT_ONLY_ASKED, id="by annotation"
        ),
        pytest.param(
            pod(volumes=[{"name": "floe-spool", "emptyDir": {}}]), Reason.NAME_TAKEN, id="a volume of the name"
        ),
        pytest.param(
            pod(container(ports=[{"containerPort": 4327 + at} for at in range(40)])), Reason.NO_FREE_PORT, id="no port"
        ),
    ],
)
def test_a_limit_keeps_the_sidecar_out_and_the_environment_in(document: dict[str, Any], reason: Reason) -> None:
    found = decision(document)
    assert found.outcome is Outcome.ENVIRONMENT_ONLY
    assert found.reasons == (reason,)


@pytest.mark.requirement("HOUSE-2", "HOUSE-3")
def test_a_bad_annotation_is_told_and_the_default_holds() -> None:
    found = decision(pod(annotations={"floe.dev/environment-only": "maybe"}))
    assert found == Decision(Outcome.FULL, (Reason.ANNOTATION_INVALID,))


@pytest.mark.requirement("HOUSE-2", "HOUSE-3")
def test_every_reason_is_told_not_only_the_first() -> None:
    document = pod(hostNetwork=True, priorityClassName="system-cluster-critical", labels={"floe.dev/inject": "no"})
    found = decision(document, namespace="kube-system")
    assert found.outcome is Outcome.NONE
    assert set(found.reasons) == {
        Reason.POD_LABEL_UNKNOWN,
        Reason.NAMESPACE_EXCLUDED,
        Reason.CLUSTER_CRITICAL,
        Reason.HOST_NETWORK,
    }


@pytest.mark.requirement("HOUSE-3")
@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(Rules(has_backend=False), Decision(Outcome.NONE, (Reason.NO_BACKEND,)), id="no backend"),
        pytest.param(
            Rules(sidecar_enabled=False),
            Decision(Outcome.ENVIRONMENT_ONLY, (Reason.SIDECAR_DISABLED,)),
            id="the manifest wants none",
        ),
        pytest.param(
            Rules(something_to_relay=False),
            Decision(Outcome.ENVIRONMENT_ONLY, (Reason.NOTHING_TO_RELAY,)),
            id="nothing to relay",
        ),
    ],
)
def test_the_manifest_bounds_what_is_done(rules: Rules, expected: Decision) -> None:
    assert decide(Facts(pod(), "sales", None), rules) == expected


@pytest.mark.requirement("HOUSE-2")
@pytest.mark.parametrize("broken", [None, [], "text", {"labels": []}, {"labels": {"floe.dev/inject": 1}}])
def test_a_pod_of_a_strange_shape_is_decided_upon_too(broken: object) -> None:
    found = decide(Facts({"metadata": broken, "spec": broken}, "sales", None), RULES)
    assert found.outcome is Outcome.NONE


@pytest.mark.requirement("HOUSE-2")
@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence_and_says_what_to_do_where_something_can_be_done(reason: Reason) -> None:
    assert reason.sentence.endswith(".")
    assert reason.effect in Effect
    assert not reason.remedy or reason.remedy.endswith(".")


@pytest.mark.requirement("HOUSE-3")
def test_our_default_ports_are_the_sidecars() -> None:
    assert Ports(DEFAULT_PORT, DEFAULT_HEALTH_PORT) == DEFAULT_PORTS
