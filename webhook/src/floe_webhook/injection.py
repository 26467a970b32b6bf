"""The one road that webhook and command share: facts and a profile in, a plan and its operations out."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jsonpatch
import orjson

from floe_webhook import __version__
from floe_webhook import pod as pods
from floe_webhook.additions import Addition, json_text
from floe_webhook.decision import Decision, Facts, Outcome
from floe_webhook.patch import Operation, operations, texts
from floe_webhook.plan import Plan
from floe_webhook.planning import build
from floe_webhook.profile import Profile
from floe_webhook.reasons import Reason
from floe_webhook.record import is_known, record_of
from floe_webhook.removal import removal


class Injection(NamedTuple):
    """What was planned for a pod, and what does it.

    Attributes:
        patch: The operations, a JSON array (RFC 6902); empty text if there is nothing left to do.
    """

    plan: Plan
    patch: str

    @property
    def operations(self) -> list[Operation]:
        """The patch's operations."""
        found: list[Operation] = orjson.loads(self.patch) if self.patch else []
        return found


def inject(facts: Facts, profile: Profile, *, path: Sequence[str] = ()) -> Injection:
    """Decides, plans and writes the operations for one pod.

    A pod that this version has injected by this manifest is looked at again as it was before, so that containers that
    another injector has added since are configured too: the order of injectors makes no difference, and a second look
    at an unchanged pod changes nothing. One that was injected otherwise is left as it is, or, where the manifest says
    so and its record can be read, treated in the same way.

    Args:
        facts: The pod and its surroundings.
        profile: The platform's.
        path: Keys that lead from the document to the pod; operations start with them.
    """
    record = record_of(facts.pod) if pods.INJECTED_LABEL in facts.labels else None
    if record is None:
        plan = build(facts, profile)
        return Injection(plan, _patch(texts(plan, path)))
    same = (record.get("version"), record.get("profile")) == (__version__, profile.identity)
    if not is_known(record) or not (same or profile.upgrade_injected):
        return Injection(_none(facts, Reason.INJECTED_OTHERWISE), "")
    try:
        before = _apply(facts.pod, removal(facts.pod, record))
        plan = _with_changes_of_others(build(replace(facts, pod=before), profile), facts.pod)
        nothing_to_do = plan.decision.outcome is Outcome.NONE or _apply(before, operations(plan)) == facts.pod
    except _UNFIT:
        # Somebody has changed the record; what it says of the pod is not true any more.
        return Injection(_none(facts, Reason.INJECTED_OTHERWISE), "")
    if nothing_to_do:
        return Injection(_none(facts, Reason.ALREADY_INJECTED), "")
    taken_out = [json_text(operation) for operation in removal(facts.pod, record, path)]
    if not same:
        decision = plan.decision
        plan = plan._replace(decision=decision._replace(reasons=(*decision.reasons, Reason.UPGRADED)))
    return Injection(plan, _patch(taken_out + texts(plan, path)))


_UNFIT = (
    jsonpatch.JsonPatchException,
    jsonpatch.JsonPointerException,
    TypeError,
    ValueError,
    KeyError,
    RecursionError,  # a pod that is deeper than Python likes
)


def _with_changes_of_others(plan: Plan, pod: pods.Document) -> Plan:
    """A plan that leaves to the sidecar what others have added to it since: a LimitRange's defaults, for one.

    To take that out would be to undo their work, and a namespace may refuse the pod without it.
    """
    if plan.sidecar is None:
        return plan
    for _, name, container in pods.containers(pod, "initContainers"):
        if name == pods.SIDECAR_NAME:
            kept = {**container, "env": _variables_with_ours(container, plan.sidecar)}
            if _has_all_of(kept, plan.sidecar):
                return plan._replace(sidecar=Addition(kept))
    return plan


def _variables_with_ours(found: pods.Document, wanted: pods.Document) -> list[Any]:
    """The sidecar's variables as they are, ours as they are to be: a container that was added since changes them."""
    ours = {entry["name"]: entry for entry in wanted["env"]}
    kept = []
    for entry in pods.entries(found, "env"):
        name = pods.text(entry, "name")
        if name in ours or not name.startswith(_OURS):
            kept.append(ours.pop(name, entry))
    return [*kept, *ours.values()]


_OURS = "FLOE_SIDECAR_"


def _has_all_of(found: Any, wanted: Any) -> bool:
    """Whether everything that is wanted is there, in its order, whatever else there is."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(key in found and _has_all_of(found[key], value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        left = iter(found)
        return all(any(_has_all_of(one, entry) for one in left) for entry in wanted)
    return bool(found == wanted)


def _patch(each: Sequence[str]) -> str:
    return f"[{','.join(each)}]" if each else ""


def _none(facts: Facts, reason: Reason) -> Plan:
    return Plan(facts.pod, Decision(Outcome.NONE, (reason,)))


def _apply(pod: pods.Document, changes: list[Operation]) -> dict[str, Any]:
    result: dict[str, Any] = jsonpatch.apply_patch(pod, changes)
    return result
