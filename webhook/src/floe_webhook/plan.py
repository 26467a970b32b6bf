"""What would be added to a pod; `floe_webhook.planning` makes it, `floe_webhook.patch` carries it out.

Tuples, as they are made for each pod: a frozen dataclass takes several times as long.
"""

from collections.abc import Mapping
from typing import NamedTuple

from floe_webhook import __version__
from floe_webhook.additions import Addition
from floe_webhook.asked import NOTHING_ASKED, Asked
from floe_webhook.decision import Decision
from floe_webhook.environment import ContainerEnvironment
from floe_webhook.pod import Document

INJECTED_BY = f"floe-webhook/{__version__}"


class ContainerPlan(NamedTuple):
    """One container's additions.

    Attributes:
        kind: `containers` or `initContainers`.
        position: Its place among its kind.
    """

    kind: str
    position: int
    name: str
    document: Document
    environment: ContainerEnvironment


class Plan(NamedTuple):
    """What would be added to a pod; empty lists and None where nothing is.

    Attributes:
        decision: Why, with everything that had to be said on the way.
        asked: What the pod asks for by annotations, and what of it was refused.
        sidecar: The container that becomes the first init container.
        pull_secrets: Names of Secrets that its image is pulled with and that the pod does not have yet.
    """

    pod: Document
    decision: Decision
    asked: Asked = NOTHING_ASKED
    containers: tuple[ContainerPlan, ...] = ()
    sidecar: Addition | None = None
    volumes: tuple[Addition, ...] = ()
    pull_secrets: tuple[Addition, ...] = ()
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None
