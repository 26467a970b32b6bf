"""What `floe explain` does: the account of pods in a file, and of a pod in a cluster."""

import asyncio
from pathlib import Path

import click

from floe_certs.api import RefusedError, UnreachableError
from floe_core.errors import ConfigurationError
from floe_core.errors import ConnectionError as FloeConnectionError
from floe_webhook.checks import pods_of_namespaces as missed_pods
from floe_webhook.checks.cluster import Cluster, MissingError, Namespace
from floe_webhook.commands.options import ClusterOptions
from floe_webhook.commands.reading import facts_of, read_documents
from floe_webhook.commands.session import opened
from floe_webhook.commands.surroundings import surroundings_of
from floe_webhook.explanation import asked_by, explain
from floe_webhook.injection import inject
from floe_webhook.missed import missed
from floe_webhook.pod import Document
from floe_webhook.profile import Profile
from floe_webhook.reload import read_profile
from floe_webhook.stored_pod import StoredPod, account
from floe_webhook.surroundings import NOTHING_KNOWN

_PREFIXES = ("pod/", "pods/", "po/")


def explain_file(filename: str, manifest_file: Path, namespace_label: str) -> None:
    """Writes the account of each pod in a file."""
    file = read_documents(filename)
    profile = read_profile(manifest_file)
    for notice in profile.notices:
        click.echo(notice, err=True)
    for pod in file.pods():
        facts = facts_of(file, pod, namespace_label)
        plan = inject(facts, profile, path=pod.path).plan
        for line in explain(pod.title, plan, asked_by=asked_by(facts)):
            click.echo(line)


def explain_pod(pod: str, namespace: str | None, options: ClusterOptions, manifest_file: Path | None) -> None:
    """Writes the account of a pod in a cluster.

    Raises:
        ConfigurationError: There is no such pod, or no way to the cluster.
    """
    for line in asyncio.run(_told(name_of(pod), namespace, options, manifest_file)):
        click.echo(line)


async def _told(name: str, namespace: str | None, options: ClusterOptions, manifest_file: Path | None) -> list[str]:
    async with opened(options, manifest_file=manifest_file) as cluster:
        home = namespace or cluster.choices.here
        try:
            stored = await _stored(cluster, name, home)
            profile, without = await _profile(cluster)
            known = NOTHING_KNOWN if profile is None else await surroundings_of(cluster, stored.facts, profile)
            return list(account(stored, profile, without, known))
        except RefusedError as error:
            raise ConfigurationError(
                f"You may not look at it: {error}", remedy="Ask for the right to get pods and namespaces."
            ) from None
        except UnreachableError as error:
            raise FloeConnectionError(f"The API server gives no answer: {error}.", remedy="Try `floe check`.") from None


async def _stored(cluster: Cluster, name: str, home: str) -> StoredPod:
    pod = await _pod(cluster, name, home)
    namespace = Namespace(await cluster.api.read(f"/api/v1/namespaces/{home}") or {"metadata": {"name": home}})
    try:
        found = missed([pod], await missed_pods.surroundings_of(cluster, namespace))
    except RefusedError:  # the webhook configuration, which only tells since when there is a webhook
        found = []
    return StoredPod(pod, home, namespace.word, found[0].verdict if found else None)


async def _pod(cluster: Cluster, name: str, namespace: str) -> Document:
    found = await cluster.api.read(f"/api/v1/namespaces/{namespace}/pods/{name}")
    if found is None:
        raise ConfigurationError(
            f"There is no pod {name} in the namespace {namespace}.",
            remedy="Give its namespace with -n; `kubectl get pods -A` lists all.",
        )
    return found


async def _profile(cluster: Cluster) -> tuple[Profile | None, str]:
    """The profile in force; without one, why."""
    try:
        return (await cluster.platform()).profile, ""
    except MissingError as missing:
        return None, str(missing)
    except RefusedError as error:
        return None, f"You may not read the manifest in the cluster ({error}); give it with --manifest."


def name_of(pod: str) -> str:
    """The pod's name, of NAME or pod/NAME.

    Raises:
        UsageError: It names something else.
    """
    for prefix in _PREFIXES:
        if pod.startswith(prefix):
            return pod.removeprefix(prefix)
    if "/" in pod:
        raise click.UsageError(f"{pod} is no pod; give pod/NAME. For a workload, explain one of its pods, or -f FILE.")
    return pod
