"""Whether a pod is injected, and how far: facts in, a decision with every reason out.

Namespace and pod speak through the label `floe.dev/inject`; the pod's own word counts more (design: opting in).

| namespace label  | pod label        | injected                    |
|------------------|------------------|-----------------------------|
| any              | enabled, true    | yes                         |
| any              | disabled, false  | no: POD_OPTED_OUT           |
| any              | another value    | no: POD_LABEL_UNKNOWN       |
| enabled, true    | -                | yes                         |
| disabled, false  | -                | no: NOT_OPTED_IN            |
| another value    | -                | no: NAMESPACE_LABEL_UNKNOWN |
| -                | -                | no: NOT_OPTED_IN            |

A file that a person gives to the command counts as a namespace that opted in. Beyond the labels each veto below keeps
us out, each limit keeps the sidecar out only; all of them are looked at, so that a person sees every reason at once.

What only the cluster knows comes in as `Facts.surroundings`; what is not known counts as harmless.

| the cluster says                                         | injected                                 |
|----------------------------------------------------------|------------------------------------------|
| API server or a kubelet does not keep native sidecars    | environment only: KUBERNETES_TOO_OLD     |
| the sidecar's image does not start                       | environment only: SIDECAR_DOES_NOT_START |
| a ResourceQuota has too little left for the sidecar too  | environment only: QUOTA_EXCEEDED         |
| a LimitRange does not allow the sidecar                  | environment only: LIMIT_RANGE            |
| nothing, asked for quotas and limit ranges               | as without: LIMITS_UNSEEN is told        |
| a credential's Secret, or its key, is missing            | as without: SECRET_MISSING, or _KEY_, told |

The last two lines but one, and the last, need the sidecar as it would be: `floe_webhook.planning` decides them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from floe_webhook import pod as pods
from floe_webhook.asked import DEFAULT_ALLOWANCE, Allowance, Asked, read
from floe_webhook.pod import Document, Placed
from floe_webhook.ports import DEFAULT_PORTS, Ports, free_ports
from floe_webhook.reasons import Effect, Reason
from floe_webhook.surroundings import NOTHING_KNOWN, Surroundings

YES, NO = pods.YES, pods.NO

EXCLUDED_NAMESPACES = frozenset({"kube-system", "kube-node-lease"})


class Outcome(StrEnum):
    """How far a pod is injected."""

    FULL = "full"
    ENVIRONMENT_ONLY = "environment_only"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the platform says, whatever the pod is.

    Attributes:
        excluded_namespaces: Namespaces that are never injected.
        sidecar_enabled: Whether the manifest wants a sidecar at all.
        something_to_relay: Whether a sidecar would have anything to do.
        has_backend: Whether there is anything that a pod could be told.
        ports: The sidecar's ports unless a container declares one of them.
        allowance: What pods may ask for by annotations.
    """

    excluded_namespaces: frozenset[str] = EXCLUDED_NAMESPACES
    sidecar_enabled: bool = True
    something_to_relay: bool = True
    has_backend: bool = True
    ports: Ports = DEFAULT_PORTS
    allowance: Allowance = DEFAULT_ALLOWANCE


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a pod when it is decided upon.

    Attributes:
        pod: The raw document.
        namespace: Its namespace; empty if that is not known yet, as in a file.
        namespace_label: The namespace's label `floe.dev/inject`; None without one.
        surroundings: What the cluster knows of it.
        labels, annotations, spec: Parts of the pod.
        containers: Its named init containers and containers, the sidecar's own included.
    """

    pod: Document
    namespace: str
    namespace_label: str | None
    surroundings: Surroundings = NOTHING_KNOWN
    labels: Document = field(init=False, repr=False, compare=False)
    annotations: Document = field(init=False, repr=False, compare=False)
    spec: Document = field(init=False, repr=False, compare=False)
    containers: tuple[Placed, ...] = field(init=False, repr=False, compare=False)

    @property
    def is_admitted(self) -> bool:
        """Whether it is a pod that has passed the API server's own defaults, rather than one in somebody's file.

        Its service account's image pull secrets are added by then, which happens only where there are none.
        """
        passed = self.pod.get("kind") == "Pod" and pods.text(self.spec, "schedulerName") != ""
        return passed and pods.text(self.spec, "serviceAccountName") != ""

    def __post_init__(self) -> None:
        # Read once: nearly every rule asks for one of them.
        metadata, spec = pods.mapping(self.pod, "metadata"), pods.mapping(self.pod, "spec")
        object.__setattr__(self, "labels", pods.mapping(metadata, "labels"))
        object.__setattr__(self, "annotations", pods.mapping(metadata, "annotations"))
        object.__setattr__(self, "spec", spec)
        object.__setattr__(self, "containers", pods.placed(spec))


class Decision(NamedTuple):
    """How far a pod is injected, and every reason against more."""

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()


def asked_by(facts: Facts, rules: Rules) -> Asked:
    """What the pod asks for by annotations, as far as it may have it."""
    return read(facts.annotations, rules.allowance, facts.namespace)


Rule = Callable[[Facts, Rules], Reason | None]


def decide(facts: Facts, rules: Rules) -> Decision:
    """The decision by the table above, the vetoes and the limits; see the module's docstring."""
    reasons = tuple([reason for rule in RULES if (reason := rule(facts, rules)) is not None])
    reasons += asked_by(facts, rules).reasons
    if not reasons:
        return Decision(Outcome.FULL)
    effects = {reason.effect for reason in reasons}
    if Effect.NOT_INJECTED in effects:
        return Decision(Outcome.NONE, reasons)
    if Effect.ENVIRONMENT_ONLY in effects:
        return Decision(Outcome.ENVIRONMENT_ONLY, reasons)
    return Decision(Outcome.FULL, reasons)


def opted_in(facts: Facts, _: Rules) -> Reason | None:
    """The table of labels."""
    own = facts.labels.get(pods.INJECT_LABEL)
    if own is not None:
        word = str(own)
        return None if word in YES else Reason.POD_OPTED_OUT if word in NO else Reason.POD_LABEL_UNKNOWN
    if facts.namespace_label is None or facts.namespace_label in NO:
        return Reason.NOT_OPTED_IN
    return None if facts.namespace_label in YES else Reason.NAMESPACE_LABEL_UNKNOWN


def namespace_excluded(facts: Facts, rules: Rules) -> Reason | None:
    """A webhook that holds up the control plane's own pods, or its own, can deadlock a cluster."""
    return Reason.NAMESPACE_EXCLUDED if facts.namespace in rules.excluded_namespaces else None


def mirror_pod(facts: Facts, _: Rules) -> Reason | None:
    """The API server refuses changes to mirror pods."""
    return Reason.MIRROR_POD if "kubernetes.io/config.mirror" in facts.annotations else None


def cluster_critical(facts: Facts, _: Rules) -> Reason | None:
    """system-cluster-critical and system-node-critical."""
    priority = pods.text(facts.spec, "priorityClassName")
    return Reason.CLUSTER_CRITICAL if priority.startswith("system-") else None


def already_injected(facts: Facts, _: Rules) -> Reason | None:
    """By whomever: two relays in one pod would fight for one port."""
    if pods.INJECTED_LABEL in facts.labels:
        return Reason.ALREADY_INJECTED
    if pods.SIDECAR_NAME in [container.name for container in facts.containers]:
        return Reason.ALREADY_INJECTED
    return None


def shape_known(facts: Facts, _: Rules) -> Reason | None:
    """Nothing can be added where something else stands; the API server never sends such a pod, a file may have it."""
    metadata, spec = facts.pod.get("metadata"), facts.spec
    mappings = [metadata, facts.pod.get("spec")]
    if isinstance(metadata, dict):
        mappings += [metadata.get("labels"), metadata.get("annotations")]
    lists = [spec.get("initContainers"), spec.get("containers"), spec.get("volumes"), spec.get("imagePullSecrets")]
    lists += [container.document.get("env") for container in facts.containers]
    for part in mappings:
        if part is not None and not isinstance(part, dict):
            return Reason.SHAPE_UNKNOWN
    for part in lists:
        if part is not None and not isinstance(part, list):
            return Reason.SHAPE_UNKNOWN
    return None


def backend_named(_: Facts, rules: Rules) -> Reason | None:
    """Without one there is nothing to write."""
    return None if rules.has_backend else Reason.NO_BACKEND


def host_network(facts: Facts, _: Rules) -> Reason | None:
    """On the node's network 127.0.0.1 is shared by all such pods of the node."""
    return Reason.HOST_NETWORK if facts.spec.get("hostNetwork") is True else None


def windows(facts: Facts, _: Rules) -> Reason | None:
    """The sidecar's security context is valid for Linux only."""
    named = (pods.text(facts.spec, "os", "name"), pods.text(facts.spec, "nodeSelector", "kubernetes.io/os"))
    return Reason.WINDOWS if "windows" in named else None


def environment_only_asked(facts: Facts, rules: Rules) -> Reason | None:
    """The pod's own choice."""
    return Reason.ENVIRONMENT_ONLY_ASKED if asked_by(facts, rules).options.environment_only else None


def sidecar_wanted(_: Facts, rules: Rules) -> Reason | None:
    """The manifest's choice."""
    if not rules.sidecar_enabled:
        return Reason.SIDECAR_DISABLED
    return None if rules.something_to_relay else Reason.NOTHING_TO_RELAY


def volume_names_free(facts: Facts, _: Rules) -> Reason | None:
    """Names of volumes are unique in a pod, or the API server refuses it."""
    volumes = pods.entries(facts.spec, "volumes")
    free = pods.VOLUME_NAMES.isdisjoint([pods.text(volume, "name") for volume in volumes])
    return None if free else Reason.NAME_TAKEN


def port_free(facts: Facts, rules: Rules) -> Reason | None:
    """Two listeners on one port: the second one crashes, and it may be the user's."""
    return Reason.NO_FREE_PORT if free_ports(facts.containers, rules.ports) is None else None


def native_sidecars_kept(facts: Facts, _: Rules) -> Reason | None:
    """KEP-753: where the field is unknown it is dropped, and an init container that never ends is left."""
    return None if facts.surroundings.native_sidecars else Reason.KUBERNETES_TOO_OLD


def sidecar_starts(facts: Facts, _: Rules) -> Reason | None:
    """An init container that does not start holds up the whole pod."""
    return None if facts.surroundings.sidecar_starts else Reason.SIDECAR_DOES_NOT_START


def limits_answered(facts: Facts, _: Rules) -> Reason | None:
    """What has to be assumed is told."""
    return Reason.LIMITS_UNSEEN if facts.surroundings.limits_unanswered else None


RULES: tuple[Rule, ...] = (
    opted_in,
    namespace_excluded,
    mirror_pod,
    cluster_critical,
    already_injected,
    shape_known,
    backend_named,
    host_network,
    windows,
    environment_only_asked,
    sidecar_wanted,
    volume_names_free,
    port_free,
    native_sidecars_kept,
    sidecar_starts,
    limits_answered,
)
