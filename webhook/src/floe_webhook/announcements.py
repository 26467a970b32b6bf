"""What people are told on the objects they know: which reasons are worth an Event, on which object, in which words.

An Event says a reason's sentence and remedy and nothing of the pod: no name, no value. What somebody has chosen (a
label that says no, an annotation that asks for no sidecar) is not told back to them; it stands in the pod's annotation,
in the metrics and in what `floe explain` says.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from floe_webhook import pod as pods
from floe_webhook.admission import Problem, Review
from floe_webhook.owners import owner_of
from floe_webhook.pod import Document
from floe_webhook.reasons import Effect, Reason

MOST_CHARACTERS = 1024
"""Of an Event's message: the API server refuses more."""

_REFERENCE = ("kind", "name", "apiVersion", "uid")

CHOSEN = frozenset(
    {
        Reason.NOT_OPTED_IN,
        Reason.POD_OPTED_OUT,
        Reason.NAMESPACE_EXCLUDED,
        Reason.MIRROR_POD,
        Reason.CLUSTER_CRITICAL,
        Reason.ALREADY_INJECTED,
        Reason.ENVIRONMENT_ONLY_ASKED,
        Reason.LINEAGE_DISABLED,
    }
)
"""What the platform, or whoever made the pod, has decided on purpose."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that an Event is written on.

    Attributes:
        api_version: Empty, as `uid`, if only `through` can tell.
        through: The object between a pod and its workload, e.g. a ReplicaSet; its owner reference names the workload.
    """

    namespace: str
    kind: str
    name: str
    api_version: str = ""
    uid: str = ""
    through: "Subject | None" = None


@dataclass(frozen=True, slots=True)
class Announcement:
    """What an Event says.

    Attributes:
        reason: Its reason, one word in UpperCamelCase as Kubernetes asks.
        message: For people.
        warning: Whether something is not as it was asked for.
    """

    subject: Subject
    reason: str
    message: str
    warning: bool = True


class Announcer(Protocol):
    """Takes announcements; equal ones become one Event."""

    def announce(self, announcement: Announcement) -> None:
        """Takes one, for later; never waits and never fails."""
        ...


class Silence:
    """An announcer for where there is nobody to tell."""

    def announce(self, announcement: Announcement) -> None:
        """See `Announcer`."""


def announce_admission(announcer: Announcer, review: Review, reasons: Iterable[Reason | Problem]) -> None:
    """Announces what is worth telling of an admission; nothing on a dry run, which must have no effect."""
    if review.dry_run:
        return
    told = [_WORDS[reason] for reason in reasons if reason in _WORDS]
    subject = subject_of(review.pod, review.namespace) if told else None
    if subject is not None:
        for words in told:
            announcer.announce(Announcement(subject, *words))


def is_worth_telling(reason: Reason | Problem) -> bool:
    """Whether an Event tells it: what nobody chose, and a remark only if something can be done about it."""
    if isinstance(reason, Problem):
        return True
    return reason not in CHOSEN and (reason.effect is not Effect.REMARK or bool(reason.remedy))


def about(subject: Subject, reason: Reason | Problem) -> Announcement:
    """The announcement of a reason."""
    return Announcement(subject, *_words(reason))


def _words(reason: Reason | Problem) -> tuple[str, str, bool]:
    remedy = reason.remedy if isinstance(reason, Reason) else ""
    message = f"{reason.sentence} {remedy}".strip()
    is_remark = isinstance(reason, Reason) and reason.effect is Effect.REMARK
    return camel_case(reason), message[:MOST_CHARACTERS], not is_remark


def subject_of(pod: Document, namespace: str) -> Subject | None:
    """The workload that a pod belongs to, the pod itself if nothing controls it; None if nothing has a name yet."""
    direct = controller_of(pod, namespace)
    if direct is None:
        metadata = pods.mapping(pod, "metadata")
        name = pods.text(metadata, "name")
        # A pod that is being created may have a generated name, which is not known yet: nothing to write on.
        return Subject(namespace, "Pod", name, "v1", pods.text(metadata, "uid")) if name else None
    workload = owner_of(pod)
    if workload is None or workload.through is None:
        return direct
    return Subject(namespace, workload.kind, workload.name, through=direct)


def controller_of(document: Document, namespace: str) -> Subject | None:
    """The object that an owner reference says controls another one."""
    for reference in pods.entries(pods.mapping(document, "metadata"), "ownerReferences"):
        if isinstance(reference, dict) and reference.get("controller") is True and reference.get("name"):
            kind, name, api_version, uid = (str(reference.get(key) or "") for key in _REFERENCE)
            return Subject(namespace, kind, name, api_version, uid)
    return None


def camel_case(code: str) -> str:
    """A code as the reason of an Event: `host_network` becomes `HostNetwork`."""
    return "".join(part.capitalize() for part in code.split("_"))


# Asked for at each admission, so made once.
_WORDS: dict[Reason | Problem, tuple[str, str, bool]] = {
    reason: _words(reason) for reason in (*Reason, *Problem) if is_worth_telling(reason)
}
