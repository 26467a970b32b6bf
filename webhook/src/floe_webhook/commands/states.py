"""What `floe status` does: counts the running pods of each namespace."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from floe_certs.api import RefusedError, UnreachableError
from floe_core.cli.output import print_json, print_table
from floe_core.cli.progress import progress
from floe_core.errors import ConfigurationError
from floe_core.errors import ConnectionError as FloeConnectionError
from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster, MissingError, Namespace
from floe_webhook.checks.pods_of_namespaces import RUNNING, missed_of
from floe_webhook.commands.options import ClusterOptions
from floe_webhook.commands.session import opened
from floe_webhook.pod import Document
from floe_webhook.record import record_of

_COLUMNS = ("namespace", "label", "injected", "environment only", "missed", "versions", "manifests")


@dataclass(frozen=True, slots=True)
class State:
    """The running pods of a namespace.

    Attributes:
        label: What its label `floe.dev/inject` says; None without one.
        injected: Pods with environment and sidecar.
        missed: Pods with neither although they should; None if that cannot be known.
        versions: How many pods each version injected.
        manifests: How many pods each manifest gave what they have, by its identity.
    """

    namespace: str
    label: str | None
    injected: int
    environment_only: int
    missed: int | None
    versions: dict[str, int]
    manifests: dict[str, int]


def state(namespace: str, label: str | None, injected: Iterable[Document], missed: int | None) -> State:
    """A namespace's state, from the metadata of its injected pods."""
    found = list(injected)
    records = [record_of(pod) or {} for pod in found]
    alone = sum(record.get("outcome") == "environment_only" for record in records)
    by = Counter(str(pods.annotations(pod).get(pods.INJECTED_BY_ANNOTATION, "unknown")) for pod in found)
    manifests = Counter(str(record.get("profile", "unknown")) for record in records)
    return State(namespace, label, len(found) - alone, alone, missed, dict(by), dict(manifests))


def states_of(options: ClusterOptions, manifest_file: Path | None, namespaces: tuple[str, ...]) -> list[State]:
    """The state of each namespace.

    Raises:
        ConfigurationError: There is no way to the cluster, or no right to look.
        ConnectionError: The API server does not answer.
    """

    async def look() -> list[State]:
        async with opened(options, manifest_file=manifest_file, namespaces=namespaces) as cluster:
            with progress() as told:
                told("reading namespaces and pods")
                return await _states(cluster)

    try:
        return asyncio.run(look())
    except (RefusedError, MissingError) as error:
        raise ConfigurationError(
            f"Not everything can be looked at: {error}", remedy="Name the namespaces that you may read with -n."
        ) from None
    except UnreachableError as error:
        raise FloeConnectionError(f"The API server gives no answer: {error}.", remedy="Try `floe check`.") from None


def show(states: Sequence[State], output: str) -> None:
    """Writes the states."""
    if output == "json":
        print_json([asdict(state) for state in states])
        return
    print_table(_COLUMNS, [_row(state) for state in states])


def _row(state: State) -> tuple[str, ...]:
    return (
        state.namespace,
        state.label or "-",
        str(state.injected),
        str(state.environment_only),
        "?" if state.missed is None else str(state.missed),
        _counted(state.versions),
        _counted(state.manifests),
    )


def _counted(counts: dict[str, int]) -> str:
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items())) or "-"


async def _states(cluster: Cluster) -> list[State]:
    labelled = {namespace.name: namespace for namespace in await cluster.namespaces()}
    injected: dict[str, list[Document]] = {name: [] for name in labelled}
    for asked in cluster.choices.namespaces or (None,):
        for pod in await cluster.pods(asked, **RUNNING, labelSelector=f"{pods.INJECTED_LABEL}=true"):
            injected.setdefault(pods.text(pod, "metadata", "namespace"), []).append(pod)
    found = []
    for name in sorted(injected):
        namespace = labelled.get(name)
        missed = await _missed(cluster, namespace) if namespace else 0
        found.append(state(name, namespace.word if namespace else None, injected[name], missed))
    return found


async def _missed(cluster: Cluster, namespace: Namespace) -> int | None:
    try:
        return len(await missed_of(cluster, namespace))
    except (MissingError, RefusedError):
        return None
