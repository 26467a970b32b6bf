"""Namespaces whose label means nothing, pods that should have been injected, pods that an older version injected."""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from functools import partial

from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster, Namespace, some_at_a_time
from floe_webhook.checks.results import Check, Finding, counted, or_ok, warning
from floe_webhook.decision import EXCLUDED_NAMESPACES, NO, YES
from floe_webhook.missed import MissedPod, Surroundings, Verdict, is_confirmed, missed
from floe_webhook.plan import INJECTED_BY
from floe_webhook.pod import Document

RUNNING = {"fieldSelector": "status.phase=Running"}

MOST_CONFIRMED = 50
"""Pods of a namespace that are read whole to be sure; of more the metadata have to do."""

_INJECTABLE = (Verdict.MISSED, Verdict.OLDER)


def judge_labels(namespaces: Sequence[Namespace]) -> list[Finding]:
    """Whether each label `floe.dev/inject` means something."""
    check = Check.NAMESPACE_LABELS
    found = [
        warning(
            check,
            f"The label {pods.INJECT_LABEL}={namespace.word} of the namespace {namespace.name} means nothing.",
            f"kubectl label --overwrite namespace {namespace.name} {pods.INJECT_LABEL}=enabled (or disabled)",
        )
        for namespace in namespaces
        if namespace.word is not None and namespace.word not in YES | NO
    ]
    if not found and not any(namespace.opted_in for namespace in namespaces):
        sentence = "No namespace has opted in; only pods that say so themselves are injected."
        found.append(warning(check, sentence, f"kubectl label namespace NAME {pods.INJECT_LABEL}=enabled"))
    opted_in = sum(namespace.opted_in for namespace in namespaces)
    return or_ok(found, check, f"Opted in: {counted(opted_in, 'namespace')}.")


def judge_missed(found: Sequence[MissedPod]) -> list[Finding]:
    """Pods that run without what their label asks for, by namespace and by what is the matter."""
    check = Check.MISSED_PODS
    groups: dict[tuple[str, Verdict], list[str]] = {}
    for pod in found:
        groups.setdefault((pod.namespace, pod.verdict), []).append(pod.name)
    told = [
        warning(check, f"{namespace}: {_some(names)}. {verdict.sentence}", verdict.remedy)
        for (namespace, verdict), names in groups.items()
    ]
    return or_ok(told, check, "No running pod has been missed.")


def judge_versions_of_pods(versions: Mapping[str, int], current: str) -> list[Finding]:
    """Which version injected how many running pods."""
    check = Check.INJECTED_VERSIONS
    remedy = "They keep what they were given, and work on; their next start brings the present version."
    found = [
        warning(check, f"Injected by {version}, not by {current}: {counted(count, 'running pod')}.", remedy)
        for version, count in sorted(versions.items())
        if version != current
    ]
    return or_ok(found, check, f"Injected by {current}: {counted(versions.get(current, 0), 'running pod')}.")


async def namespace_labels(cluster: Cluster) -> list[Finding]:
    """Looks at all namespaces that carry the label."""
    return judge_labels(await cluster.namespaces())


async def missed_pods(cluster: Cluster) -> list[Finding]:
    """Looks for running pods without our label where they, or their namespaces, say that they want it."""
    namespaces = {namespace.name: namespace for namespace in await cluster.namespaces()}
    if not cluster.choices.namespaces:
        query = RUNNING | {"labelSelector": f"{pods.INJECT_LABEL},!{pods.INJECTED_LABEL}"}
        for pod in await cluster.pods(None, **query):
            name = pods.text(pod, "metadata", "namespace")
            namespaces.setdefault(name, Namespace({"metadata": {"name": name}}))
    found = await some_at_a_time([partial(missed_of, cluster, namespace) for namespace in namespaces.values()])
    return judge_missed([pod for of_namespace in found for pod in of_namespace])


async def injected_versions(cluster: Cluster) -> list[Finding]:
    """Counts the running pods by who injected them."""
    query = RUNNING | {"labelSelector": f"{pods.INJECTED_LABEL}=true"}
    only = cluster.choices.namespaces or (None,)
    found = [one for name in only for one in await cluster.pods(name, **query)]
    versions = Counter(str(pods.annotations(one).get(pods.INJECTED_BY_ANNOTATION, "unknown")) for one in found)
    return judge_versions_of_pods(versions, INJECTED_BY)


async def missed_of(cluster: Cluster, namespace: Namespace) -> list[MissedPod]:
    """The running pods of a namespace that are not injected although they or it say so."""
    profile = (await cluster.platform()).profile
    surroundings = await surroundings_of(cluster, namespace, profile.rules.excluded_namespaces)
    query = RUNNING | {"labelSelector": f"!{pods.INJECTED_LABEL}"}
    found = missed(await cluster.pods(namespace.name, **query), surroundings)
    confirmed = []
    for one in found[:MOST_CONFIRMED]:
        pod = await cluster.api.read(f"/api/v1/namespaces/{one.namespace}/pods/{one.name}")
        if pod is not None and (one.verdict not in _INJECTABLE or is_confirmed(pod, surroundings, profile)):
            confirmed.append(one)
    return [*confirmed, *found[MOST_CONFIRMED:]]


async def surroundings_of(
    cluster: Cluster, namespace: Namespace, excluded: AbstractSet[str] = EXCLUDED_NAMESPACES
) -> Surroundings:
    """What a namespace's pods are judged by: its labels and their age, and since when there is a webhook."""
    configuration = await cluster.configuration()
    installed_at = None if configuration is None else _made_at(configuration)
    return Surroundings({namespace.name: namespace.document}, excluded, installed_at)


def _made_at(document: Document) -> datetime:
    return datetime.fromisoformat(pods.text(document, "metadata", "creationTimestamp"))


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
