"""Where the program's parts that need a cluster are put together; what each of them does stands in its own module."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from floe_webhook.arguments import Arguments
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.leading import Duty
from floe_webhook.metrics import Metrics
from floe_webhook.reload import CurrentProfile
from floe_webhook.server import Surroundings, Witness


@dataclass(frozen=True, slots=True)
class Parts:
    """What a running webhook in a cluster has, for whatever is built on it."""

    arguments: Arguments
    api: KubernetesApi
    profile: CurrentProfile
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Assembly:
    """What is built on it.

    Attributes:
        duties: By name, what one replica does for all while it leads.
        followers: By name, what every replica does all the time.
        surroundings: Asked for each admission.
        witness: Told of each decision.
    """

    duties: Mapping[str, Duty] = field(default_factory=dict)
    followers: Mapping[str, Duty] = field(default_factory=dict)
    surroundings: Surroundings | None = None
    witness: Witness | None = None


def assemble(parts: Parts) -> Assembly:  # noqa: ARG001 - what needs them comes with the parts that talk to a cluster
    """Everything that a webhook in a cluster does beside answering."""
    return Assembly()
