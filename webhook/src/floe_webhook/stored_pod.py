"""The account of a pod that is stored already: what was decided when it was created, and what would be now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jsonpatch

from floe_webhook import pod as pods
from floe_webhook.decision import Facts
from floe_webhook.explanation import asked_by, explain, sentence_of
from floe_webhook.injection import inject
from floe_webhook.missed import Verdict
from floe_webhook.pod import Document
from floe_webhook.profile import Profile
from floe_webhook.reasons import Reason
from floe_webhook.record import record_of
from floe_webhook.removal import removal
from floe_webhook.surroundings import NOTHING_KNOWN, Surroundings

_OUTCOMES = {"full": "environment and sidecar", "environment_only": "environment only"}


@dataclass(frozen=True, slots=True)
class StoredPod:
    """A pod as the API server gives it.

    Attributes:
        document: The pod.
        namespace_label: What its namespace's label `floe.dev/inject` says now; None without one.
        missed: Why it is not injected although it opted in; None if it is, or did not.
    """

    document: Document
    namespace: str
    namespace_label: str | None
    missed: Verdict | None = None

    @property
    def facts(self) -> Facts:
        """The pod as it would be created now: without what was added to it; as it is, if its record does not fit it."""
        before = as_it_was(self.document)
        return Facts(self.document if before is None else before, self.namespace, self.namespace_label)


def account(
    stored: StoredPod, profile: Profile | None, without_profile: str, surroundings: Surroundings = NOTHING_KNOWN
) -> Iterator[str]:
    """The whole account, line by line.

    Args:
        stored: The pod.
        profile: The manifest's, in force now; None if it is not known.
        without_profile: Why it is not known.
        surroundings: What the cluster knows now.
    """
    title = f"Pod/{pods.text(stored.document, 'metadata', 'name')} in {stored.namespace}"
    record = record_of(stored.document)
    if record is None:
        yield from _never_injected(title, stored)
    else:
        yield from _injected(title, stored.document, record, profile)
    if profile is None:
        yield f"What would be decided now is not known: {without_profile}"
        return
    if as_it_was(stored.document) is None:
        yield "What would be decided now is not known: somebody has changed the record."
        return
    facts = replace(stored.facts, surroundings=surroundings)
    plan = inject(facts, profile).plan
    title = f"If it were created now, with the manifest {profile.identity}"
    yield from explain(title, plan, asked_by=asked_by(facts))


def as_it_was(pod: Document) -> Document | None:
    """A stored pod without what was added to it; None if its record does not fit it."""
    record = record_of(pod)
    if record is None:
        return pod
    try:
        restored: Document = jsonpatch.apply_patch(pod, removal(pod, record))
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError, ValueError, KeyError):
        return None
    return restored


def _never_injected(title: str, stored: StoredPod) -> Iterator[str]:
    yield f"{title}: was not injected when it was created; it carries no record."
    if stored.missed is not None:
        yield f"  {stored.missed.sentence} {stored.missed.remedy}"
    word = stored.namespace_label
    yield f"  its namespace says {word}" if word is not None else "  its namespace says nothing"
    own = pods.labels(stored.document).get(pods.INJECT_LABEL)
    yield f"  the pod itself says {own}" if own is not None else "  the pod itself says nothing"


def _injected(title: str, pod: Document, record: Mapping[str, Any], profile: Profile | None) -> Iterator[str]:
    how_far = _OUTCOMES.get(str(record.get("outcome")), str(record.get("outcome")))
    yield f"{title}: was injected when it was created: {how_far}"
    by = pods.annotations(pod).get(pods.INJECTED_BY_ANNOTATION, "an unknown version")
    identity = str(record.get("profile"))
    same = "" if profile is None else ", the one in force" if identity == profile.identity else ", not the one in force"
    yield f"  by {by}, with the manifest {identity}{same}"
    for code in pods.entries(record, "reasons"):
        yield f"  {_told(str(code))}"
    for group in pods.entries(record, "environment"):
        names = ", ".join(pods.entries(group, "containers"))
        yield f"  variables of {names}: {', '.join(pods.entries(group, 'variables'))}"


def _told(code: str) -> str:
    try:
        return sentence_of(Reason(code))
    except ValueError:  # a reason of another version
        return f"[{code}]"
