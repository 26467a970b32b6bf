"""What keeps a sidecar from starting, read off a pod as the kubelet reports it. Pure."""

from dataclasses import dataclass

from floe_webhook import pod as pods
from floe_webhook.pod import Document

_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable", "SignatureValidationFailed"}
)
_CONTAINER = frozenset({"CrashLoopBackOff", "CreateContainerError", "CreateContainerConfigError", "RunContainerError"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a sidecar from starting.

    Attributes:
        reason: The kubelet's word, e.g. `ImagePullBackOff`.
        image: That does not start.
        created: When the pod was, as the API server writes times.
    """

    reason: str
    image: str
    created: str


def trouble_of(pod: Document, image: str) -> Trouble | None:
    """What keeps the sidecar of one pod from starting, if it has this image."""
    specified = [
        pods.text(container, "image")
        for container in pods.entries(pods.mapping(pod, "spec"), "initContainers")
        if pods.text(container, "name") == pods.SIDECAR_NAME
    ]
    if specified != [image]:
        return None
    for status in pods.entries(pods.mapping(pod, "status"), "initContainerStatuses"):
        if pods.text(status, "name") == pods.SIDECAR_NAME:
            reason = pods.text(status, "state", "waiting", "reason")
            if reason in _IMAGE or reason in _CONTAINER:
                return Trouble(reason, image, pods.text(pod, "metadata", "creationTimestamp"))
    return None


def runs(probe: Document, image: str) -> bool:
    """Whether a probe pod with this image has been seen to run: it answers the kubelet's probe."""
    containers = pods.entries(pods.mapping(probe, "spec"), "containers")
    statuses = pods.entries(pods.mapping(probe, "status"), "containerStatuses")
    return [pods.text(container, "image") for container in containers] == [image] and [
        pods.mapping(status).get("ready") for status in statuses
    ] == [True]
