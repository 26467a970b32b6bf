"""Lines for the person at the terminal: each check's state when it is first known and whenever it changes."""

from datetime import UTC

from rich.console import Console
from rich.text import Text

from floe_core.plugin_interfaces.alert_channel import ViolationType
from floe_monitor.checks.model import CheckStatus
from floe_monitor.store.records import CheckRun

_SIGNS = {
    CheckStatus.PASS: ("●", "green"),
    CheckStatus.FAIL: ("●", "red"),
    CheckStatus.ERROR: ("●", "magenta"),
    CheckStatus.UNKNOWN: ("○", "yellow"),
    CheckStatus.SKIPPED: ("○", "dim"),
}


class Reporter:
    """Prints state changes; with many contracts a terminal would drown in every single result."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._known: dict[str, CheckStatus] = {}

    def __call__(self, run: CheckRun) -> None:
        """A check has ended."""
        status = run.verdict.status
        if self._known.get(run.key) is status:
            return
        self._known[run.key] = status
        self._console.print(line(run))


def line(run: CheckRun) -> Text:
    """Time, sign, contract, check, state and what was measured or why not."""
    sign, style = _SIGNS[run.verdict.status]
    text = Text(f"{run.checked_at.astimezone(UTC):%H:%M:%S}  ", style="dim")
    text.append(f"{sign} {run.verdict.status.value:<8}", style=style)
    text.append(f"{run.contract.id}  ", style="bold")
    text.append(f"{run.check.value}  ")
    text.append(_measures(run) or run.verdict.reason or run.verdict.status.sentence, style="dim")
    return text


def _measures(run: CheckRun) -> str:
    if run.check is ViolationType.QUALITY:
        return _quality(run)
    shown = []
    for outcome in run.verdict.outcomes:
        if outcome.measure is None or outcome.reason:
            continue
        if run.check is ViolationType.AVAILABILITY:
            shown.append(f"{outcome.measure:.3%} up")
        elif run.check is ViolationType.SCHEMA_DRIFT:
            shown.append("as promised" if not outcome.measure else f"{outcome.measure:.0f} difference(s)")
        else:
            shown.append(f"{outcome.element}: {outcome.measure:.0f} s old, {outcome.threshold:.0f} s promised")
    return "; ".join(shown)


def _quality(run: CheckRun) -> str:
    score, rules = run.verdict.details.get("quality_score"), run.verdict.details.get("rules", [])
    if not isinstance(score, float):
        return ""
    kept = sum(bool(rule["passed"]) for rule in rules)
    return f"score {score:.1f}: {kept} of {len(rules)} rule(s) hold"
