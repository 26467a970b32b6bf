"""Which containers of a pod are configured."""

from collections.abc import Sequence

from floe_core.manifest.models import ContainerSelection
from floe_webhook import pod as pods
from floe_webhook.pod import Document, Placed
from floe_webhook.reasons import Reason


def select(
    containers: Sequence[Placed], annotations: Document, selection: ContainerSelection
) -> tuple[list[Placed], list[Reason]]:
    """The containers that are configured, init containers first, and what had to be said.

    The pod's annotation `floe.dev/containers` (names with commas between) counts more than the manifest; without both,
    all containers but the known sidecars of others.
    """
    found = [entry for entry in containers if entry.name != pods.SIDECAR_NAME]
    asked = annotations.get(pods.CONTAINERS_ANNOTATION)
    if asked is not None:
        wanted = {name.strip() for name in str(asked).split(",")} - {""}
        if wanted:
            unknown = wanted - {entry.name for entry in found}
            return [entry for entry in found if entry.name in wanted], [Reason.CONTAINER_UNKNOWN] if unknown else []
    if not selection.init_containers:
        found = [entry for entry in found if entry.kind == "containers"]
    if selection.include:
        found = [entry for entry in found if entry.name in selection.include]
    found = [entry for entry in found if entry.name not in selection.exclude]
    return found, [Reason.ANNOTATION_INVALID] if asked is not None else []
