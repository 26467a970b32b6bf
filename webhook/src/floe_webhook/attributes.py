"""Resource attributes and service names of a pod's containers, by the semantic conventions for Kubernetes attributes.

Values are percent-encoded as the OpenTelemetry specification demands (resource/sdk.md), so they can hold no comma, no
equals sign and no `$`; what only the running pod knows stands as `$(NAME)` of a helper variable.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from floe_core.credentials import literal_for_kubernetes
from floe_webhook import pod as pods
from floe_webhook.owners import Owner
from floe_webhook.pod import Document

POD_NAME = "FLOE_POD_NAME"
POD_UID = "FLOE_POD_UID"
NODE_NAME = "FLOE_NODE_NAME"
NAMESPACE = "FLOE_POD_NAMESPACE"

HELPERS: Mapping[str, str] = {
    NAMESPACE: "metadata.namespace",
    NODE_NAME: "spec.nodeName",
    POD_NAME: "metadata.name",
    POD_UID: "metadata.uid",
}
"""Variables of ours that the kubelet fills, and the field that each reads.

The OpenTelemetry operator takes its own helper's name as the sign that it has been here; so these have other names.
"""

_UNRESERVED = "-._~/:@"

_OWNER_KEYS: Mapping[str, str] = {
    "Deployment": "k8s.deployment.name",
    "ReplicaSet": "k8s.replicaset.name",
    "StatefulSet": "k8s.statefulset.name",
    "DaemonSet": "k8s.daemonset.name",
    "Job": "k8s.job.name",
    "CronJob": "k8s.cronjob.name",
    "ReplicationController": "k8s.replicationcontroller.name",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What all containers of a pod share.

    Attributes:
        attributes: Key to encoded value, without the container's own.
        service_name: Value for OTEL_SERVICE_NAME, already as Kubernetes text.
        job_name: Name of the pod's work that is the same for each of its runs; None if nothing names it.
        namespace: The Kubernetes namespace, or a reference to the helper that knows it.
        version: service.version that annotations or labels give; None leaves it to the image.
        instance: service.instance.id that an annotation gives.
        owner: The workload; None for a pod that nobody owns.
    """

    attributes: Mapping[str, str]
    service_name: str
    job_name: str | None
    namespace: str
    version: str | None
    instance: str | None
    owner: Owner | None = None


def reference(helper: str) -> str:
    """Kubernetes' text for another variable's value."""
    return f"$({helper})"


def encode(value: str) -> str:
    """Percent-encoded; `+` too, since some SDKs decode as forms do."""
    return quote(value, safe=_UNRESERVED)


def identity_of(
    pod: Document, *, namespace: str, owner: Owner | None, environment: str | None, use_labels: bool
) -> Identity:
    """What is known of a pod before its containers are looked at.

    Precedence, lowest first (injection.md §2.2): the manifest, Kubernetes, annotations `resource.opentelemetry.io/…`.

    Args:
        pod: The raw pod or pod template.
        namespace: Its namespace; empty if not known yet.
        owner: Its workload.
        environment: The pod's own environment, or the manifest's.
        use_labels: Whether `app.kubernetes.io/…` labels name services.
    """
    annotated: dict[str, str] = {
        key.removeprefix(pods.ATTRIBUTE_ANNOTATION_PREFIX): value
        for key, value in pods.annotations(pod).items()
        if key.startswith(pods.ATTRIBUTE_ANNOTATION_PREFIX) and isinstance(value, str) and value
    }
    labels = pods.labels(pod) if use_labels else {}
    here = encode(namespace) if namespace else reference(NAMESPACE)
    job = owner.name if owner else _own_name(pod)
    annotated_name = annotated.pop("service.name", "")
    labelled_name = _label(labels, "instance") or _label(labels, "name")
    name = annotated_name or labelled_name or (owner.name if owner else pods.text(pod, "metadata", "name"))
    version = annotated.pop("service.version", "") or _label(labels, "version")
    instance = annotated.pop("service.instance.id", "")
    attributes = {"deployment.environment.name": encode(environment)} if environment else {}
    attributes |= {
        "k8s.namespace.name": here,
        "k8s.node.name": reference(NODE_NAME),
        "k8s.pod.name": reference(POD_NAME),
        "k8s.pod.uid": reference(POD_UID),
        "service.namespace": here,
    }
    attributes |= _owner_attributes(owner)
    attributes |= {encode(key): encode(value) for key, value in annotated.items() if key}
    return Identity(
        attributes=attributes,
        # Nothing but the pod names a generated pod that nobody owns, and its name is not known yet (DEF-11).
        service_name=literal_for_kubernetes(name) if name else reference(POD_NAME),
        # Labels often name a whole application, which is more than the work of one pod.
        job_name=annotated_name or job,
        namespace=namespace or reference(NAMESPACE),
        version=encode(version) if version else None,
        instance=encode(instance) if instance else None,
        owner=owner,
    )


def attributes_of(container: Document, identity: Identity) -> dict[str, str]:
    """The pod's attributes and those of one container; key to encoded value."""
    name = encode(pods.text(container, "name"))
    # An annotation may set any attribute, so ours must not displace one.
    found = {
        "k8s.container.name": name,
        "service.instance.id": identity.instance
        or f"{identity.attributes['k8s.namespace.name']}.{reference(POD_NAME)}.{name}",
    }
    version = identity.version or encode(image_version(pods.text(container, "image")))
    if version:
        found["service.version"] = version
    found.update(identity.attributes)
    return found


def image_version(image: str) -> str:
    """`<tag>@<digest>`, `<digest>` or `<tag>`; empty for an image without either. A registry's port is no tag."""
    repository, _, digest = image.partition("@")
    _, _, tag = repository.rpartition("/")[2].partition(":")
    return f"{tag}@{digest}" if tag and digest else digest or tag


def written(attributes: Mapping[str, str]) -> str:
    """The variable's text: sorted, so that the same pod gives the same bytes."""
    return ",".join(sorted([f"{key}={value}" for key, value in attributes.items()]))


def parse_user_attributes(value: str) -> frozenset[str] | None:
    """The keys of a user's own text; None if it cannot be read, so that nothing may be added to it.

    A value may hold `$(NAME)` and `=`; a key may hold neither (DEF-3, DEF-8).
    """
    keys = set()
    for pair in value.split(","):
        key, equals, _ = pair.partition("=")
        if not equals or not key.strip() or "$(" in key:
            return None
        keys.add(key.strip())
    return frozenset(keys)


def _owner_attributes(owner: Owner | None) -> dict[str, str]:
    if owner is None:
        return {}
    chain = [(owner.kind, owner.name)] + ([owner.through] if owner.through else [])
    return {_OWNER_KEYS[kind]: encode(name) for kind, name in chain if kind in _OWNER_KEYS}


def _own_name(pod: Document) -> str | None:
    generated = pods.text(pod, "metadata", "generateName").rstrip("-")
    return generated or pods.text(pod, "metadata", "name") or None


def _label(labels: Document, name: str) -> str:
    return pods.text(labels, f"app.kubernetes.io/{name}")
