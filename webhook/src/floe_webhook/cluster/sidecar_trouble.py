"""Whether a sidecar starts or what keeps it from starting, read off a pod as the kubelet reports it. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from floe_webhook import pod as pods
from floe_webhook.pod import Document

_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
    | {"RegistryUnavailable", "SignatureValidationFailed"}
)
STEADY = timedelta(seconds=60)
"""A sidecar that has run for so long starts; one that crashes seldom gets so far, and never at once."""

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
    status = _sidecar_status(pod, image)
    reason = _waits(status) or _crashes(pod, status)
    return Trouble(reason, image, pods.text(pod, "metadata", "creationTimestamp")) if reason else None


def has_run(pod: Document, image: str, now: datetime) -> bool:
    """Whether the sidecar of one pod, if it has this image, runs steadily, or ended in order with its pod.

    Args:
        pod: An injected one.
        image: The one in question.
        now: Compared with what the pod's node says, so it need not be more exact than a minute.
    """
    state = pods.mapping(_sidecar_status(pod, image), "state")
    if pods.text(pod, "status", "phase") == "Succeeded":
        return pods.mapping(state, "terminated").get("exitCode") == 0
    try:
        started = datetime.fromisoformat(pods.text(state, "running", "startedAt"))
    except ValueError:
        return False
    return started.tzinfo is not None and now - started >= STEADY


def _sidecar_status(pod: Document, image: str) -> Document:
    """What the kubelet says of the sidecar; nothing if the pod has none with this image."""
    specified = [
        pods.text(container, "image")
        for container in pods.entries(pods.mapping(pod, "spec"), "initContainers")
        if pods.text(container, "name") == pods.SIDECAR_NAME
    ]
    statuses = pods.entries(pods.mapping(pod, "status"), "initContainerStatuses") if specified == [image] else []
    return next((status for status in statuses if pods.text(status, "name") == pods.SIDECAR_NAME), {})


def _waits(status: Document) -> str:
    reason = pods.text(status, "state", "waiting", "reason")
    return reason if reason in _IMAGE or reason in _CONTAINER else ""


def _crashes(pod: Document, status: Document) -> str:
    """Why it ended, if it ends again and again while its pod lives on.

    Between two attempts the kubelet reports a sidecar as terminated; `CrashLoopBackOff` it says for a tenth of a second
    only, right before the next one, and nobody who looks now and then would ever read it.
    """
    ended = pods.mapping(status, "state", "terminated")
    restarts = status.get("restartCount")
    is_again = isinstance(restarts, int) and restarts > 0
    if not is_again or ended.get("exitCode") in {None, 0} or "deletionTimestamp" in pods.mapping(pod, "metadata"):
        return ""
    return pods.text(ended, "reason") or "Error"


def runs(probe: Document, image: str) -> bool:
    """Whether a probe pod with this image has been seen to run: it answers the kubelet's probe."""
    containers = pods.entries(pods.mapping(probe, "spec"), "containers")
    statuses = pods.entries(pods.mapping(probe, "status"), "containerStatuses")
    return [pods.text(container, "image") for container in containers] == [image] and [
        pods.mapping(status).get("ready") for status in statuses
    ] == [True]
