"""Which running pods should have been injected and were not; from their metadata alone, as far as metadata can tell.

| labels of namespace and pod                     | made                           | verdict                 |
|-------------------------------------------------|--------------------------------|-------------------------|
| either opts in (`floe_webhook.decision`)        | after the opt-in               | MISSED                  |
| either opts in                                  | before it, or before floe came | OLDER                   |
| the pod's label has a value that means nothing  | -                              | POD_LABEL_UNKNOWN       |
| the namespace's has, and the pod has none       | -                              | NAMESPACE_LABEL_UNKNOWN |
| anything else; injected, excluded or ending pod | -                              | none                    |

When a namespace opted in stands in its `managedFields`: the time of the last write of whoever set the label, so never
too early. A pod's own label counts from the pod's creation. What only the spec tells (a priority class, which
containers there are) `is_confirmed` finds out, by the decision that the webhook itself would make.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from floe_webhook import pod as pods
from floe_webhook.announcements import Announcement, Subject, camel_case, subject_of
from floe_webhook.decision import EXCLUDED_NAMESPACES, Facts, Outcome, Rules, mirror_pod, opted_in
from floe_webhook.injection import inject
from floe_webhook.pod import Document
from floe_webhook.profile import Profile
from floe_webhook.reasons import Reason

SETTLE = timedelta(seconds=5)
"""Times have whole seconds, and API servers obey a new label or webhook configuration about a second later."""

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_RULES = Rules()


class Verdict(StrEnum):
    """What is the matter with a pod that is not injected; the value is its code."""

    MISSED = "missed"
    OLDER = "older_than_opt_in"
    POD_LABEL_UNKNOWN = "pod_label_unknown"
    NAMESPACE_LABEL_UNKNOWN = "namespace_label_unknown"

    @property
    def sentence(self) -> str:
        """What is the case."""
        return _TEXTS[self][0]

    @property
    def remedy(self) -> str:
        """What to do."""
        return _TEXTS[self][1]


_TEXTS = {
    Verdict.MISSED: (
        "The pod runs without telemetry and lineage although it opted in: the webhook did not see its creation.",
        "Restart the workload (kubectl rollout restart, or delete the pod) once floe check finds nothing else.",
    ),
    Verdict.OLDER: (
        "The pod is older than its namespace's label, or than floe in this cluster.",
        "Restart the workload (kubectl rollout restart) when it suits.",
    ),
    Verdict.POD_LABEL_UNKNOWN: (Reason.POD_LABEL_UNKNOWN.sentence, Reason.POD_LABEL_UNKNOWN.remedy),
    Verdict.NAMESPACE_LABEL_UNKNOWN: (Reason.NAMESPACE_LABEL_UNKNOWN.sentence, Reason.NAMESPACE_LABEL_UNKNOWN.remedy),
}
_OF_LABELS = {
    Reason.POD_LABEL_UNKNOWN: Verdict.POD_LABEL_UNKNOWN,
    Reason.NAMESPACE_LABEL_UNKNOWN: Verdict.NAMESPACE_LABEL_UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class MissedPod:
    """A pod that is not injected, and what is the matter.

    Attributes:
        subject: The workload that it belongs to, on which people are told.
    """

    namespace: str
    name: str
    uid: str
    created_at: datetime
    verdict: Verdict
    subject: Subject = field(compare=False)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a pod's own metadata does not say.

    Attributes:
        namespaces: Documents of the namespaces, by name; one that is not there has no label.
        excluded_namespaces: Namespaces that are never injected.
        installed_at: Since when there is a webhook; None if nobody knows.
    """

    namespaces: Mapping[str, Document]
    excluded_namespaces: AbstractSet[str] = EXCLUDED_NAMESPACES
    installed_at: datetime | None = None

    def label_of(self, namespace: str) -> str | None:
        """The namespace's label `floe.dev/inject`."""
        label = pods.labels(self.namespaces.get(namespace, {})).get(pods.INJECT_LABEL)
        return None if label is None else str(label)


def missed(found: Iterable[Document], surroundings: Surroundings) -> list[MissedPod]:
    """The pods about which there is something to say, by the table above.

    Args:
        found: Running pods; their metadata suffices.
        surroundings: What is known besides.
    """
    judged = (_judged(pod, surroundings) for pod in found)
    return [one for one in judged if one is not None]


def unknown_labels(namespaces: Iterable[Document]) -> list[str]:
    """Names of the namespaces whose label has a value that means nothing."""
    return [
        pods.text(namespace, "metadata", "name")
        for namespace in namespaces
        if _label_objection({}, str(pods.labels(namespace).get(pods.INJECT_LABEL))) is Reason.NAMESPACE_LABEL_UNKNOWN
    ]


def counts(found: Iterable[MissedPod]) -> Mapping[Verdict, int]:
    """How many pods there are of each verdict, zeros included."""
    counted = Counter(pod.verdict for pod in found)
    return {verdict: counted[verdict] for verdict in Verdict}


def is_confirmed(pod: Document, surroundings: Surroundings, profile: Profile) -> bool:
    """Whether the webhook would inject the whole pod if it were made now."""
    namespace = pods.text(pod, "metadata", "namespace")
    decision = inject(Facts(pod, namespace, surroundings.label_of(namespace)), profile).plan.decision
    return decision.outcome is not Outcome.NONE


def announcement(pod: MissedPod) -> Announcement:
    """What is told about a pod on its workload."""
    verdict = pod.verdict
    reason = "NotInjected" if verdict is Verdict.MISSED else camel_case(verdict)
    return Announcement(pod.subject, reason, f"{verdict.sentence} {verdict.remedy}")


def opted_in_at(namespace: Document) -> datetime | None:
    """When the namespace's label was set, or somewhat later; None if its metadata do not say."""
    key = f"f:{pods.INJECT_LABEL}"
    times = [
        _time(pods.text(entry, "time"))
        for entry in pods.entries(pods.mapping(namespace, "metadata"), "managedFields")
        if key in pods.mapping(entry, "fieldsV1", "f:metadata", "f:labels")
    ]
    return max((time for time in times if time is not None), default=None)


def _judged(pod: Document, surroundings: Surroundings) -> MissedPod | None:
    metadata = pods.mapping(pod, "metadata")
    namespace = pods.text(metadata, "namespace")
    verdict = _verdict(pod, namespace, surroundings)
    subject = subject_of(pod, namespace)
    if verdict is None or subject is None:
        return None
    name, uid = pods.text(metadata, "name"), pods.text(metadata, "uid")
    return MissedPod(namespace, name, uid, _created_at(pod), verdict, subject)


def _verdict(pod: Document, namespace: str, surroundings: Surroundings) -> Verdict | None:
    label = surroundings.label_of(namespace)
    if _is_left_alone(pod, namespace, surroundings):
        return None
    objection = _label_objection(pod, label)
    if objection is not None:
        return _OF_LABELS.get(objection)
    since = surroundings.installed_at or _LONG_AGO
    if pods.INJECT_LABEL not in pods.labels(pod):
        since = max(since, opted_in_at(surroundings.namespaces.get(namespace, {})) or _LONG_AGO)
    is_older = since > _LONG_AGO and _created_at(pod) <= since + SETTLE
    return Verdict.OLDER if is_older else Verdict.MISSED


def _is_left_alone(pod: Document, namespace: str, surroundings: Surroundings) -> bool:
    metadata = pods.mapping(pod, "metadata")
    return (
        namespace in surroundings.excluded_namespaces
        or pods.INJECTED_LABEL in pods.labels(pod)
        or bool(metadata.get("deletionTimestamp"))
        or mirror_pod(Facts(pod, namespace, None), _RULES) is not None
    )


def _label_objection(pod: Document, namespace_label: str | None) -> Reason | None:
    return opted_in(Facts(pod, "", namespace_label), _RULES)


def _created_at(pod: Document) -> datetime:
    return _time(pods.text(pod, "metadata", "creationTimestamp")) or _LONG_AGO


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
