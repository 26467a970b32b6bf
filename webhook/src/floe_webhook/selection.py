"""Which containers of a pod are configured.

First found wins; the sidecar is never among them.

| who says so                                            | configured                                            |
|--------------------------------------------------------|-------------------------------------------------------|
| annotation `floe.dev/containers`                       | those containers and init containers                  |
| the manifest's `injection.containers.include`          | those, and the init containers among them             |
| annotation `kubectl.kubernetes.io/default-container`   | that container and the init containers                |
| nobody                                                 | all containers and init containers                    |

Less those of `floe.dev/exclude-containers`; and, but for the first line, less `injection.containers.exclude` (known
sidecars of others) and, where init containers are switched off, those. Places and names of containers stay: launchers
look at the first one, or at one by its name (injection.md §3, 3 and 16).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from floe_core.manifest.models import ContainerSelection
from floe_webhook import pod as pods
from floe_webhook.annotations import Options
from floe_webhook.pod import Document, Placed
from floe_webhook.reasons import Reason


@dataclass(frozen=True, slots=True)
class Selection:
    """The manifest's word; how many names it has makes no difference to how long a pod takes."""

    include: frozenset[str]
    exclude: frozenset[str]
    default_container: bool
    init_containers: bool


def selection_of(containers: ContainerSelection) -> Selection:
    """The manifest's word, ready to look names up in."""
    return Selection(
        frozenset(containers.include),
        frozenset(containers.exclude),
        containers.default_container,
        containers.init_containers,
    )


def select(
    containers: Sequence[Placed], annotations: Document, options: Options, selection: Selection
) -> tuple[list[Placed], list[Reason]]:
    """The containers that are configured, init containers first, and what had to be said."""
    found = [entry for entry in containers if entry.name != pods.SIDECAR_NAME]
    told: list[Reason] = []
    asked, taken_out = options.containers, options.exclude_containers or frozenset()
    if (asked or taken_out) and not (asked or taken_out) | taken_out <= {entry.name for entry in found}:
        told.append(Reason.CONTAINER_UNKNOWN)
    if taken_out:
        found = [entry for entry in found if entry.name not in taken_out]
    if asked:
        return [entry for entry in found if entry.name in asked], told
    with_init = selection.init_containers if options.init_containers is None else options.init_containers
    found = [
        entry for entry in found if entry.name not in selection.exclude and (with_init or entry.kind == "containers")
    ]
    if selection.include:
        return [entry for entry in found if entry.name in selection.include], told
    default = pods.text(annotations, pods.DEFAULT_CONTAINER_ANNOTATION) if selection.default_container else ""
    chosen = [entry for entry in found if entry.kind == "initContainers" or entry.name == default]
    # What names no application container, a service mesh's proxy for one, chooses nothing.
    if not default or default not in {entry.name for entry in chosen if entry.kind == "containers"}:
        return found, told
    return chosen, told + [Reason.DEFAULT_CONTAINER_ONLY] * (len(chosen) < len(found))
