"""NetworkPolicies as iptables rules, judged as text: whom they isolate, and what they let through."""

from typing import Any

import pytest

from tests.e2e.cluster.client import Manifest
from tests.e2e.cluster.network_policies import rules

pytestmark = pytest.mark.requirement("CC-6.1")

NAMESPACES = {"sales": {"team": "sales"}, "floe": {"team": "platform"}, "kube-system": {}}
APP, GATEWAY = "10.88.1.1", "10.88.1.2"


def _pod(namespace: str, address: str, phase: str = "Running", **labels: str) -> Manifest:
    ports = [{"name": "lineage", "containerPort": 5055}]
    return {
        "metadata": {"name": "some", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "app", "ports": ports}]},
        "status": {"podIP": address, "phase": phase},
    }


PODS = [_pod("sales", APP, app="orders"), _pod("floe", GATEWAY, app="gateway")]


def _policy(namespace: str, **spec: Any) -> Manifest:
    return {"metadata": {"name": "policy", "namespace": namespace}, "spec": {"podSelector": {}} | spec}


def _inside(chain: str, policies: list[Manifest], pods: list[Manifest] = PODS) -> list[str]:
    lines = rules(policies, pods, NAMESPACES).splitlines()
    return [line.removeprefix(f"-A {chain} ") for line in lines if line.startswith(f"-A {chain} ")]


def test_a_pod_that_no_policy_selects_is_free() -> None:
    assert _inside("KUBE-POLICY", [_policy("kube-system", policyTypes=["Ingress", "Egress"])]) == [
        "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
    ]


def test_a_policy_without_a_rule_refuses_everything_of_its_type_alone() -> None:
    denied = [_policy("sales", policyTypes=["Egress"])]

    assert _inside("KUBE-POLICY", denied)[1:] == [f"-s {APP}/32 -j KUBE-POLICY-E-10-88-1-1"]
    assert _inside("KUBE-POLICY-E-10-88-1-1", denied) == ["-j REJECT"]


def test_a_ports_name_is_that_of_the_pod_that_receives() -> None:
    peer = {
        "namespaceSelector": {"matchLabels": {"team": "platform"}},
        "podSelector": {"matchLabels": {"app": "gateway"}},
    }
    ways_out = _policy("sales", policyTypes=["Egress"], egress=[{"to": [peer], "ports": [{"port": "lineage"}]}])
    ways_in = _policy("floe", policyTypes=["Ingress"], ingress=[{"ports": [{"protocol": "TCP", "port": "lineage"}]}])

    assert _inside("KUBE-POLICY-E-10-88-1-1", [ways_out]) == [
        f"-d {GATEWAY}/32 -p tcp --dport 5055 -j RETURN",
        "-j REJECT",
    ]
    assert _inside("KUBE-POLICY-I-10-88-1-2", [ways_in]) == ["-s 0.0.0.0/0 -p tcp --dport 5055 -j RETURN", "-j REJECT"]


def test_what_several_policies_allow_adds_up() -> None:
    block = [{"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}]}]
    policies = [_policy("sales", policyTypes=["Egress"]), _policy("sales", policyTypes=["Egress"], egress=block)]

    assert _inside("KUBE-POLICY-E-10-88-1-1", policies) == ["-d 10.9.0.0/16 -j RETURN", "-j REJECT"]


@pytest.mark.parametrize(
    ("expression", "is_let_in"),
    [
        pytest.param({"key": "team", "operator": "In", "values": ["sales"]}, True, id="In"),
        pytest.param({"key": "team", "operator": "NotIn", "values": ["sales"]}, False, id="NotIn"),
        pytest.param({"key": "team", "operator": "Exists"}, True, id="Exists"),
        pytest.param({"key": "team", "operator": "DoesNotExist"}, False, id="DoesNotExist"),
    ],
)
def test_namespaces_are_selected_by_expressions(expression: dict[str, Any], is_let_in: bool) -> None:
    peer = {"namespaceSelector": {"matchExpressions": [expression]}, "podSelector": {}}
    policy = _policy("floe", policyTypes=["Ingress"], ingress=[{"from": [peer]}])

    assert (f"-s {APP}/32 -j RETURN" in _inside("KUBE-POLICY-I-10-88-1-2", [policy])) is is_let_in


def test_a_pod_that_has_ended_has_no_address_any_more() -> None:
    pods = [_pod("sales", APP, phase="Succeeded")]

    assert _inside("KUBE-POLICY", [_policy("sales", policyTypes=["Egress"])], pods)[1:] == []
