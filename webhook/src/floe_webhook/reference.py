"""The generated page of reasons and problems: docs/reasons.md."""

from collections.abc import Iterable

from floe_webhook.admission import Problem
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


def _section(title: str, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    table = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    table += [f"| `{code}` | {' | '.join(cells)} |" for code, *cells in rows]
    return [f"## {title}", "", *table, ""]
