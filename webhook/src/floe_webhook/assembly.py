"""Where the program's parts that need a cluster are put together; what each of them does stands in its own module."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from floe_webhook.admission import Problem, Review
from floe_webhook.arguments import Arguments
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.cluster.ownership import OwnedCreation
from floe_webhook.following import following
from floe_webhook.leading import Duty
from floe_webhook.looking_up import looking_up
from floe_webhook.metrics import Metrics
from floe_webhook.reload import CurrentProfile
from floe_webhook.server import ClusterReview, Witness


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
        failed: Told of each admission that could not be decided upon.
        details: What `/readyz` says besides.
    """

    duties: Mapping[str, Duty] = field(default_factory=dict)
    followers: Mapping[str, Duty] = field(default_factory=dict)
    surroundings: ClusterReview | None = None
    witness: Witness | None = None
    failed: Callable[[Review, Problem], None] = lambda _, __: None
    details: Callable[[], Mapping[str, Any]] = dict


def assemble(parts: Parts) -> Assembly:
    """Everything that a webhook in a cluster does beside answering."""
    arguments = parts.arguments
    creating = OwnedCreation(parts.api, parts.api, arguments.release_namespace or "", arguments.owner_deployment)
    followed = following(arguments.follow_settings(), parts.api, parts.profile, parts.metrics.following, creating)
    looked_up = looking_up(
        arguments.lookup_settings(),
        parts.api,
        parts.profile,
        parts.metrics.lookups,
        creating=creating,
        announcer=followed.announcer,
    )
    return Assembly(
        duties=followed.duties | looked_up.duties,
        followers=followed.followers | looked_up.followers,
        surroundings=looked_up.surroundings,
        witness=followed.witness,
        failed=followed.failed,
        details=lambda: {**followed.details(), **looked_up.details()},
    )
