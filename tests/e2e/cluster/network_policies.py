"""NetworkPolicies as iptables rules of this machine: what a network plugin does, for pods on the node's one bridge.

    FORWARD (pod to pod), OUTPUT (node to pod), INPUT (pod to node) ──▶ KUBE-POLICY ──▶ one chain for each pod and way

A stand-in: no plugin that enforces them can be built from the registries that the test bed uses. It does what
networking.k8s.io/v1 documents for TCP and UDP, and holds for the node itself, too, which most plugins let in.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.cluster.client import KubernetesClient, Manifest
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.control_plane import Cluster
from tests.e2e.cluster.network import NODE_ADDRESS

CHAIN = "KUBE-POLICY"
"""As every chain of a node it begins with KUBE, so it goes with them."""

_HOOKS = ("FORWARD", "OUTPUT", "INPUT")
_WAYS = {"Ingress": ("ingress", "from", "-s", "-d"), "Egress": ("egress", "to", "-d", "-s")}
"""For each type: its rules, their peers, and how iptables names the peer's and the pod's own address."""

_ENDED = {"Succeeded", "Failed"}
_POLL_SECONDS = 0.2
_IN_FORCE_SECONDS = 30.0

_NAME_SERVICE: Manifest = {
    # CoreDNS is a process of the node here, and in a pod with this label elsewhere.
    "metadata": {"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
    "spec": {"containers": []},
    "status": {"podIP": NODE_ADDRESS, "phase": "Running"},
}


@dataclass(slots=True)
class Enforcement:
    """Keeps the rules as the cluster's objects say."""

    client: KubernetesClient
    _written: str = ""
    _round: threading.Condition = field(default_factory=threading.Condition)
    _rounds: int = 0

    def wait_until_in_force(self) -> None:
        """Returns when everything that is stored now is in force.

        Raises:
            TimeoutError: Nobody writes rules any more.
        """
        with self._round:
            wanted = self._rounds + 2  # the round that goes on may have begun before
            if not self._round.wait_for(lambda: self._rounds >= wanted, _IN_FORCE_SECONDS):
                raise TimeoutError(f"no rules were written within {_IN_FORCE_SECONDS:g} s")

    def write(self) -> None:
        """Brings the machine's rules up to date."""
        policies = self.client.every("networking.k8s.io/v1", "NetworkPolicy")
        pods = [*self.client.pods(), _NAME_SERVICE]
        labels = {one["metadata"]["name"]: _labels(one) for one in self.client.every("v1", "Namespace")}
        text = rules(policies, pods, labels)
        if text != self._written:
            _restore(text)
            self._written = text
        with self._round:
            self._rounds += 1
            self._round.notify_all()


@contextmanager
def network_policies(cluster: Cluster) -> Iterator[Enforcement]:
    """NetworkPolicies of a cluster hold on this machine while the block runs."""
    stop = threading.Event()
    with cluster.client() as client:
        enforcement = Enforcement(client)
        enforcement.write()
        thread = threading.Thread(target=_keep, args=(enforcement, stop))
        jumps = [f"-I {hook} 1 -j {CHAIN}" for hook in _HOOKS]
        _restore(_table(jumps))
        thread.start()
        try:
            yield enforcement
        finally:
            stop.set()
            thread.join()
            no_jumps = [f"-D {hook} -j {CHAIN}" for hook in _HOOKS]
            _restore(_table([*no_jumps, f"-F {CHAIN}"]))


def _keep(enforcement: Enforcement, stop: threading.Event) -> None:
    while not stop.wait(_POLL_SECONDS):
        enforcement.write()


def rules(policies: Sequence[Manifest], pods: Sequence[Manifest], namespaces: Mapping[str, Mapping[str, str]]) -> str:
    """What `iptables-restore --noflush` takes.

    Args:
        policies: All of the cluster.
        pods: All of the cluster.
        namespaces: The labels of each.
    """
    there = [pod for pod in pods if pod["status"].get("podIP") and pod["status"].get("phase") not in _ENDED]
    chains, ways = [CHAIN], [f"-A {CHAIN} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"]
    inside: list[str] = []
    for pod in there:
        if pod["spec"].get("hostNetwork") or pod is _NAME_SERVICE:
            continue  # networking/v1 leaves these to the plugin: what the node sends is the node's
        address = pod["status"]["podIP"]
        for kind, (section, peers, of_peer, of_pod) in _WAYS.items():
            selecting = [one for one in policies if kind in _types(one) and _selects(one, pod)]
            if not selecting:
                continue
            chain = f"{CHAIN}-{kind[0]}-{address.replace('.', '-')}"
            chains.append(chain)
            ways.append(f"-A {CHAIN} {of_pod} {address}/32 -j {chain}")
            for policy in selecting:
                for rule in policy["spec"].get(section) or ():
                    found = _addresses(rule.get(peers), policy, there, namespaces)
                    matches = _matches(found, rule.get("ports"), of_peer, pod if kind == "Ingress" else None)
                    inside += [f"-A {chain} {match} -j RETURN" for match in matches]
            inside.append(f"-A {chain} -j REJECT")
    return _table([*(f":{chain} - [0:0]" for chain in dict.fromkeys(chains)), *ways, *inside])


def _restore(text: str) -> None:
    run(["iptables-restore", "--wait", "10", "--noflush"], standard_input=text)  # kube-proxy writes, too


def _table(lines: Sequence[str]) -> str:
    return "\n".join(["*filter", *lines, "COMMIT", ""])


_Peer = tuple[str, Manifest | None]
"""An address block, and the pod that it is of."""


def _addresses(
    peers: Sequence[Manifest] | None,
    policy: Manifest,
    pods: Sequence[Manifest],
    namespaces: Mapping[str, Mapping[str, str]],
) -> Iterator[_Peer]:
    if not peers:
        yield "0.0.0.0/0", None
        return
    for peer in peers:
        if block := peer.get("ipBlock"):
            if block.get("except"):
                raise NotImplementedError("no policy of the chart has exceptions to an address block")
            yield block["cidr"], None
            continue
        for pod in pods:
            home = pod["metadata"]["namespace"]
            selector = peer.get("namespaceSelector")
            is_home = home == policy["metadata"]["namespace"] if selector is None else _fits(selector, namespaces[home])
            if is_home and _fits(peer.get("podSelector") or {}, _labels(pod)):
                yield f"{pod['status']['podIP']}/32", pod


def _matches(
    peers: Iterator[_Peer], ports: Sequence[Manifest] | None, of_peer: str, receiver: Manifest | None
) -> Iterator[str]:
    """What iptables matches by; a port's name is that of the pod that receives."""
    for block, pod in peers:
        for port in ports or ({},):
            number = _number(port.get("port"), receiver or pod)
            if "port" in port and number is None:
                continue
            protocol = f" -p {port.get('protocol', 'TCP').lower()}" if port else ""
            yield f"{of_peer} {block}{protocol}" + (f" --dport {number}" if number is not None else "")


def _number(port: Any, receiver: Manifest | None) -> int | None:
    if not isinstance(port, str):
        return port if isinstance(port, int) else None
    spec = receiver["spec"] if receiver else {}
    containers = [*spec.get("initContainers", []), *spec.get("containers", [])]
    declared = [one for container in containers for one in container.get("ports", []) if one.get("name") == port]
    return declared[0]["containerPort"] if declared else None


def _types(policy: Manifest) -> Sequence[str]:
    given: Sequence[str] = policy["spec"]["policyTypes"]  # the API server adds them
    return given


def _selects(policy: Manifest, pod: Manifest) -> bool:
    is_home = policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
    return is_home and _fits(policy["spec"].get("podSelector") or {}, _labels(pod))


def _labels(one: Manifest) -> Mapping[str, str]:
    labels: Mapping[str, str] = one["metadata"].get("labels") or {}
    return labels


def _fits(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A label selector of meta/v1."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_fits_expression(one, labels) for one in selector.get("matchExpressions") or ())


def _fits_expression(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    if expression["operator"] in {"In", "NotIn"}:
        return (labels.get(key) in values) is (expression["operator"] == "In")
    return (key in labels) is (expression["operator"] == "Exists")
