"""Evicts missed pods, if that is switched on, so that their workloads make new ones that are injected.

Never a Job's pod, nor one that nothing controls: only those of Deployments, StatefulSets and DaemonSets, which make the
same pod again. By the Eviction API, which respects PodDisruptionBudgets; so many in a round, so many of a workload in a
round. A workload whose new pod is missed again is left alone: something else keeps it from being injected, and evicting
would go on for ever. Times compared are the API server's alone.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from floe_certs.kubernetes import Answer
from floe_webhook.missed import MissedPod, Verdict
from floe_webhook.pod import Document

KINDS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})

_OK = range(200, 300)
_NOT_FOUND, _CONFLICT, _TOO_MANY = 404, 409, 429
_WORKLOADS_REMEMBERED = 1024

Workload = tuple[str, str, str]


class Eviction(StrEnum):
    """What became of an eviction."""

    EVICTED = "evicted"
    HELD_BY_BUDGET = "held_by_budget"
    GONE = "gone"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class EvictionBudget:
    """How many pods are evicted at most; 0 a round switches eviction off."""

    per_round: int = 0
    per_workload: int = 1


class EvictionApi(Protocol):
    """The part of `KubernetesApi` that is needed here."""

    async def __call__(self, method: str, path: str, *, body: Document | None = None) -> Answer:
        """See `KubernetesApi`."""
        ...


@dataclass(slots=True)
class Evictions:
    """Evicts within a budget."""

    api: EvictionApi
    budget: EvictionBudget
    _evicted: OrderedDict[Workload, datetime] = field(init=False, default_factory=OrderedDict)

    async def evict(self, missed: Sequence[MissedPod]) -> list[Eviction]:
        """Evicts what the budget allows; what became of each.

        Raises:
            UnreachableError: The API server does not answer.
        """
        newest: dict[Workload, datetime] = {}
        for pod in missed:
            newest[_workload(pod)] = max(pod.created_at, newest.get(_workload(pod), pod.created_at))
        results = []
        for pod in chosen(missed, self.budget, self._evicted):
            result = await self._evict(pod)
            results.append(result)
            if result is Eviction.EVICTED:
                self._remember(_workload(pod), newest[_workload(pod)])
        return results

    async def _evict(self, pod: MissedPod) -> Eviction:
        document = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            # A StatefulSet's new pod has the old one's name: only the one that was looked at is meant.
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        answer = await self.api("POST", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/eviction", body=document)
        if answer.status in _OK:
            return Eviction.EVICTED
        if answer.status == _TOO_MANY:
            return Eviction.HELD_BY_BUDGET
        return Eviction.GONE if answer.status in {_NOT_FOUND, _CONFLICT} else Eviction.REFUSED

    def _remember(self, workload: Workload, newest: datetime) -> None:
        # The first time counts: every pod that is missed and younger than those of then was made in vain.
        self._evicted.setdefault(workload, newest)
        if len(self._evicted) > _WORKLOADS_REMEMBERED:
            self._evicted.popitem(last=False)


def chosen(
    missed: Sequence[MissedPod], budget: EvictionBudget, evicted: Mapping[Workload, datetime]
) -> Sequence[MissedPod]:
    """The pods to evict in a round, oldest first.

    Args:
        missed: What was found.
        budget: How many.
        evicted: When the newest missed pod of a workload was made, as the first of them was evicted.
    """
    candidates = [pod for pod in missed if pod.verdict is Verdict.MISSED and pod.subject.kind in KINDS]
    in_vain = {
        workload for pod in candidates if (workload := _workload(pod)) in evicted and pod.created_at > evicted[workload]
    }
    taken: Counter[Workload] = Counter()
    found: list[MissedPod] = []
    for pod in sorted(candidates, key=lambda one: (one.created_at, one.uid)):
        workload = _workload(pod)
        if len(found) < budget.per_round and workload not in in_vain and taken[workload] < budget.per_workload:
            taken[workload] += 1
            found.append(pod)
    return found


def _workload(pod: MissedPod) -> Workload:
    return (pod.namespace, pod.subject.kind, pod.subject.name)
