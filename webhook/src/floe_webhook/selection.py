"""Which containers of a pod are configured."""

from floe_core.manifest.models import ContainerSelection
from floe_webhook import pod as pods
from floe_webhook.pod import Document
from floe_webhook.reasons import Reason

Selected = tuple[str, int, str, Document]
"""Kind (`containers` or `initContainers`), position, name and document of a container."""


def select(pod: Document, selection: ContainerSelection) -> tuple[list[Selected], list[Reason]]:
    """The containers that are configured, init containers first, and what had to be said.

    The pod's annotation `floe.dev/containers` (names with commas between) counts more than the manifest; without both,
    all containers but the known sidecars of others.
    """
    kinds = ("initContainers", "containers")
    found = [(kind, at, name, container) for kind in kinds for at, name, container in pods.containers(pod, kind)]
    found = [entry for entry in found if entry[2] != pods.SIDECAR_NAME]
    asked = pods.annotations(pod).get(pods.CONTAINERS_ANNOTATION)
    if asked is not None:
        wanted = {name.strip() for name in str(asked).split(",")} - {""}
        if wanted:
            unknown = wanted - {name for _, _, name, _ in found}
            return [entry for entry in found if entry[2] in wanted], [Reason.CONTAINER_UNKNOWN] if unknown else []
    if not selection.init_containers:
        found = [entry for entry in found if entry[0] == "containers"]
    if selection.include:
        found = [entry for entry in found if entry[2] in selection.include]
    found = [entry for entry in found if entry[2] not in selection.exclude]
    return found, [Reason.ANNOTATION_INVALID] if asked is not None else []
