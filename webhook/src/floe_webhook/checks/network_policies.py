"""Which way out of a namespace is closed by NetworkPolicies: to the collector, the gateway, the backend and DNS.

Judged as networking/v1 says: a pod that any policy with egress selects may only go where one of these lets it; ports
are those of the pod behind a Service, not the Service's own. What cannot be known from here is not guessed.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from floe_webhook import pod as pods
from floe_webhook.checks.label_selectors import Labels, selects
from floe_webhook.checks.results import Check, Finding, counted, failed, ok, or_ok, warning
from floe_webhook.pod import Document

_CHECK = Check.NETWORK_POLICIES


class Way(Enum):
    """Whether a way is open; it may be where only addresses decide and the address is not known."""

    OPEN = "open"
    UNKNOWN = "unknown"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Destination:
    """What pods have to reach.

    Attributes:
        title: As a person calls it, with its address.
        port: Of the pod that answers, or of the host outside of the cluster.
        protocol: TCP or UDP.
        address: Its IP address, where that is known.
        namespace_labels: Of its namespace; None for what is outside of the cluster.
        pod_labels: Of a pod that answers.
        port_names: Names that its pod gives the port.
    """

    title: str
    port: int
    protocol: str = "TCP"
    address: str | None = None
    namespace_labels: Labels | None = None
    pod_labels: Labels = field(default_factory=dict)
    port_names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Room:
    """A namespace, as far as its policies are concerned.

    Attributes:
        policies: Its NetworkPolicies.
        pods: The labels of each kind of pod in it; at least one, which may be empty.
    """

    namespace: str
    labels: Labels
    policies: Sequence[Document]
    pods: Sequence[Labels]


def judge_rooms(rooms: Sequence[Room], destinations: Sequence[Destination]) -> list[Finding]:
    """The closed ways out of each namespace."""
    found = [finding for room in rooms for finding in _about(room, destinations)]
    if not rooms:
        return [ok(_CHECK, "No namespace has opted in.")]
    listed = ", ".join(destination.title for destination in destinations)
    return or_ok(found, _CHECK, f"Nothing closes the way from {counted(len(rooms), 'namespace')} to {listed}.")


def way(room: Room, pod: Labels, destination: Destination) -> Way:
    """Whether a pod of a namespace can go to a destination, as far as egress policies say."""
    selecting = [policy for policy in room.policies if _concerns(policy, pod)]
    if not selecting:
        return Way.OPEN
    rules = [rule for policy in selecting for rule in pods.entries(pods.mapping(policy, "spec"), "egress")]
    ways = {_through(rule, room, destination) for rule in rules}
    return Way.OPEN if Way.OPEN in ways else Way.UNKNOWN if Way.UNKNOWN in ways else Way.CLOSED


def _about(room: Room, destinations: Sequence[Destination]) -> Iterator[Finding]:
    for destination in destinations:
        ways = [way(room, pod, destination) for pod in room.pods]
        remedy = (
            f"Add an egress rule for {destination.protocol} {destination.port}; the chart renders one for each "
            "namespace in its value networkPolicy.namespaces."
        )
        what = f"from {room.namespace} to {destination.title}, {destination.protocol} {destination.port}"
        if Way.CLOSED in ways:
            yield failed(_CHECK, f"NetworkPolicies close the way {what}.", remedy)
        elif Way.UNKNOWN in ways:
            sentence = f"NetworkPolicies name addresses, so it cannot be told whether the way {what} is open."
            yield warning(_CHECK, sentence, "Ask with --probe, which tries it from a pod.")


def _concerns(policy: Document, pod: Labels) -> bool:
    spec = pods.mapping(policy, "spec")
    types = pods.entries(spec, "policyTypes") or (["Egress"] if "egress" in spec else [])
    return "Egress" in types and selects(pods.mapping(spec, "podSelector"), pod)


def _through(rule: Document, room: Room, destination: Destination) -> Way:
    if not _port_matches(pods.entries(rule, "ports"), destination):
        return Way.CLOSED
    peers = pods.entries(rule, "to")
    if not peers:  # missing or empty: everywhere
        return Way.OPEN
    ways = {_to_peer(peer, room, destination) for peer in peers}
    return Way.OPEN if Way.OPEN in ways else Way.UNKNOWN if Way.UNKNOWN in ways else Way.CLOSED


def _port_matches(ports: Sequence[Document], destination: Destination) -> bool:
    return not ports or any(_is_port(port, destination) for port in ports)


def _is_port(port: Document, destination: Destination) -> bool:
    if (pods.text(port, "protocol") or "TCP") != destination.protocol:
        return False
    match port.get("port"):
        case None:
            return True
        case int(first):
            return first <= destination.port <= (port.get("endPort") or first)
        case str(name):
            return name in destination.port_names
    return False


def _to_peer(peer: Document, room: Room, destination: Destination) -> Way:
    if block := pods.mapping(peer, "ipBlock"):
        return _to_block(block, destination)
    if destination.namespace_labels is None:
        return Way.CLOSED
    if "namespaceSelector" in peer:
        there = selects(pods.mapping(peer, "namespaceSelector"), destination.namespace_labels)
    else:  # pods of the policy's own namespace
        there = destination.namespace_labels == room.labels
    taken = there and selects(pods.mapping(peer, "podSelector"), destination.pod_labels)
    return Way.OPEN if taken else Way.CLOSED


def _to_block(block: Mapping[str, object], destination: Destination) -> Way:
    try:
        network = ipaddress.ip_network(str(block.get("cidr")), strict=False)
        holes = [ipaddress.ip_network(str(hole), strict=False) for hole in pods.entries(block, "except")]
    except ValueError:
        return Way.CLOSED
    if destination.address is None:
        return Way.OPEN if network.prefixlen == 0 and not holes else Way.UNKNOWN
    address = ipaddress.ip_address(destination.address)
    taken = address in network and not any(address in hole for hole in holes)
    return Way.OPEN if taken else Way.CLOSED
