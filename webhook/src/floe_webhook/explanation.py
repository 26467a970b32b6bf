"""What was or would be decided about a pod, in sentences that a person can act on."""

from collections.abc import Iterator

from floe_webhook import pod as pods
from floe_webhook.decision import YES, Decision, Facts, Outcome
from floe_webhook.plan import Plan
from floe_webhook.reasons import Effect, Reason

_OUTCOMES = {
    Outcome.FULL: "injected: environment and sidecar",
    Outcome.ENVIRONMENT_ONLY: "injected: environment only",
    Outcome.NONE: "not injected",
}


def headline(title: str, decision: Decision) -> str:
    """One line: the pod and what happens to it."""
    return f"{title}: {_OUTCOMES[decision.outcome]}"


def sentences(decision: Decision) -> Iterator[str]:
    """Each reason with its code and its remedy, the weightiest first."""
    weight = list(Effect)
    for reason in sorted(decision.reasons, key=lambda reason: weight.index(reason.effect)):
        yield sentence_of(reason)


def explain(title: str, plan: Plan, *, asked_by: str | None = None) -> Iterator[str]:
    """The whole account of a pod, line by line; `asked_by` says which label asks for the injection."""
    yield headline(title, plan.decision)
    if asked_by is not None:
        yield f"  {asked_by}"
    for sentence in sentences(plan.decision):
        yield f"  {sentence}"
    for name, text in plan.asked.used:
        yield f"  annotation {name}: {text}"
    for name, reason in plan.asked.refused:
        yield f"  annotation {name} does not count [{reason}]"
    yield from _of_containers(plan)
    if plan.sidecar is not None:
        limits = plan.sidecar["resources"].get("limits", {})
        budget = ", ".join(f"{name} {amount}" for name, amount in limits.items()) or "the pod's own budget"
        yield f"  sidecar {plan.sidecar['name']}: {plan.sidecar['image']}, at most {budget}"
    for secret in plan.pull_secrets:
        yield f"  image pull secret {secret['name']}"
    for volume in plan.volumes:
        yield f"  volume {volume['name']}: {', '.join(key for key in volume if key != 'name')}"


def asked_by(facts: Facts) -> str | None:
    """Which label asks for the injection; None if none does, which a reason says."""
    own = facts.labels.get(pods.INJECT_LABEL)
    if own is not None:
        return f"The pod's own label asks for it: {pods.INJECT_LABEL}={own}." if str(own) in YES else None
    if facts.namespace_label not in YES:
        return None
    return f"Its namespace's label asks for it: {pods.INJECT_LABEL}={facts.namespace_label}."


def _of_containers(plan: Plan) -> Iterator[str]:
    for container in plan.containers:
        yield f"  {'init container' if container.kind == 'initContainers' else 'container'} {container.name}"
        for variable in container.environment.variables:
            yield f"    {variable.name} = {variable.shown}"
            yield f"      from {variable.source}"
        if (merge := container.environment.merge) is not None:
            yield f"    OTEL_RESOURCE_ATTRIBUTES grows by {merge.value[merge.kept or 0 :].removeprefix(',')}"
            yield "      from the pod's metadata"
        for reason in container.environment.reasons:
            yield f"    [{reason}]"


def sentence_of(reason: Reason) -> str:
    """A reason with its code and its remedy."""
    remedy = f" {reason.remedy}" if reason.remedy else ""
    return f"[{reason}] {reason.sentence}{remedy}"
