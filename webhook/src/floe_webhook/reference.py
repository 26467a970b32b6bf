"""The generated pages of reasons and problems, docs/reasons.md, and of annotations, docs/annotations.md."""

from collections.abc import Iterable

from floe_core.manifest.models import Overrides
from floe_webhook import pod as pods
from floe_webhook.admission import Problem
from floe_webhook.annotations import ANNOTATIONS, Annotation
from floe_webhook.reasons import Effect, Reason

_TITLES = {
    Effect.NOT_INJECTED: "The pod is not injected",
    Effect.ENVIRONMENT_ONLY: "The pod gets the environment and no sidecar",
    Effect.REMARK: "The pod is injected, and something is to be known",
}


def reasons_page() -> str:
    """docs/reasons.md, from the enumerations that webhook, command and metrics use."""
    lines = [
        "# Reasons",
        "",
        "Made by `make docs` from `floe_webhook.reasons` and `floe_webhook.admission`. The codes are the same in",
        "`floe explain`, in a pod's annotation `floe.dev/injection`, in the API server's audit annotations and in the",
        "metric `floe_webhook_reasons_total`.",
        "",
    ]
    for effect, title in _TITLES.items():
        rows = ((reason.value, reason.sentence, reason.remedy or "–") for reason in Reason if reason.effect is effect)
        lines += _section(title, ("code", "what is the case", "what to do"), rows)
    problems = ((problem.value, problem.sentence) for problem in Problem)
    lines += _section("A request that is not decided upon", ("code", "what is wrong"), problems)
    return "\n".join(lines).rstrip() + "\n"


def annotations_page() -> str:
    """docs/annotations.md, from the declarations in `floe_webhook.annotations`."""
    rows = (
        (annotation.name, annotation.kind.values, annotation.meaning, annotation.default, _allowed(annotation))
        for _, annotation in ANNOTATIONS.values()
    )
    lines = [
        "# Annotations",
        "",
        "Made by `make docs` from `floe_webhook.annotations`. What a pod may ask for, on the pod itself or, for a",
        "workload, in its pod template. Whether a pod is injected at all is the matter of the label `floe.dev/inject`;",
        "see [injection.md](injection.md).",
        "",
        "A value that cannot be used never breaks a pod: the default holds, and the reason `annotation_invalid` is",
        "told.",
        "What the platform does not allow (`injection.overrides` in the manifest, see [manifest.md](manifest.md)) has",
        "the reason `annotation_forbidden`, a name that does not exist `annotation_unknown`. `floe explain` names each",
        "annotation that counts and each that does not; so does the pod's annotation `floe.dev/injection`, under",
        "`refused`.",
        "",
    ]
    columns = ("annotation", "value", "meaning", "default", "allowed by default")
    lines += _section("What a pod may ask for", columns, rows)
    lines += [
        "The sidecar's requests and limits lie between `injection.overrides.sidecar_min` and `sidecar_max`. Where only",
        "the one is given, the other follows, so that a request never lies above its limit; both given and",
        "contradictory, neither counts. In a Guaranteed pod the requests are the limits.",
        "",
        "`floe.dev/lineage-namespace` has to match one of `injection.overrides.lineage_namespaces`, in which",
        "`{namespace}` stands for the pod's Kubernetes namespace: `{namespace}/*` lets each team name its own only.",
        "",
    ]
    of_others = (
        (
            f"{pods.ATTRIBUTE_ANNOTATION_PREFIX}NAME",
            "any text but none",
            "Resource attribute NAME; `service.name`, `service.version` and `service.instance.id` too.",
        ),
        (
            pods.DEFAULT_CONTAINER_ANNOTATION,
            "name of a container",
            "Only this container and the init containers, if none are named; see `injection.containers` for not so.",
        ),
    )
    lines += _section("Annotations of others that count", ("annotation", "value", "meaning"), of_others)
    written = (
        (pods.INJECTED_BY_ANNOTATION, "Which version has injected the pod."),
        (pods.INJECTION_ANNOTATION, "JSON: what was added, how far, and every reason. `floe uninject` reads it."),
    )
    lines += _section("Annotations that injection writes", ("annotation", "meaning"), written)
    return "\n".join(lines).rstrip() + "\n"


def _allowed(annotation: Annotation) -> str:
    return "yes" if annotation.short in Overrides().allowed else "no"


def with_reasons(page: str) -> str:
    """docs/troubleshooting.md with each reason under its code, in the place of what stands from its heading on."""
    written, heading, _ = page.partition("## Reasons\n")
    lines = [
        heading,
        "Made by `make docs`. What stands in brackets in `floe explain`; the same codes are in a pod's annotation",
        "`floe.dev/injection`, in Events and in metrics.",
        "",
    ]
    for reason in Reason:
        lines += [f"### {reason.value}", "", f"{reason.sentence} {reason.remedy}".rstrip(), ""]
    return written + "\n".join(lines).rstrip() + "\n"


def _section(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    table = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    table += [f"| `{code}` | {' | '.join(cells)} |" for code, *cells in rows]
    return [f"## {title}", "", *table, ""]
