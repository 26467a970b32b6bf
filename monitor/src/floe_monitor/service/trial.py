"""One run of every check of one contract, at once and without a store: for a data team's own pipeline."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

from opentelemetry.trace import NoOpTracer

from floe_core.manifest.models import Monitoring
from floe_monitor.checks.model import CheckStatus
from floe_monitor.contracts.model import Contract
from floe_monitor.probes.source import Source
from floe_monitor.service.memory import Memory
from floe_monitor.service.runner import Runner
from floe_monitor.service.watches import WATCHES, Target
from floe_monitor.store.records import CheckRun

# XML 1.0, 2.2: every other character makes the report unreadable.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Line:
    """How one promise stands."""

    check: str
    element: str
    status: CheckStatus
    text: str


async def try_contract(
    contract: Contract,
    source: Source,
    settings: Monitoring,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[CheckRun]:
    """Every promised check once, one after another."""
    runner = Runner(settings, (), NoOpTracer(), (), clock)
    return [
        await runner.run(watch, Target(contract, source, Memory(), timedelta(hours=1)), clock())
        for watch in WATCHES
        if watch.check.is_promised(contract)
    ]


def is_kept(runs: Sequence[CheckRun]) -> bool:
    """Whether every promise is known to be kept; what nobody could tell is not."""
    return all(run.verdict.status is CheckStatus.PASS for run in runs)


def lines_of(run: CheckRun) -> list[Line]:
    """One line per promise of the check."""
    return [
        Line(
            check=run.check.value,
            element=outcome.element or run.contract.id.name,
            status=outcome.status,
            text=outcome.finding.message if outcome.finding else outcome.reason,
        )
        for outcome in run.verdict.outcomes
    ]


def as_json(runs: Sequence[CheckRun]) -> str:
    """The runs for machines: names, states and aggregates, never values of rows."""
    return json.dumps(
        [
            {
                "contract": str(run.contract.id),
                "check": run.check.value,
                "status": run.verdict.status.value,
                "checked_at": run.checked_at.isoformat(),
                "duration_seconds": round(run.duration.total_seconds(), 6),
                "promises": [
                    {"element": line.element, "status": line.status.value, "message": line.text}
                    for line in lines_of(run)
                ],
                "details": run.verdict.details,
            }
            for run in runs
        ],
        indent=2,
    )


def as_junit(runs: Sequence[CheckRun]) -> str:
    """A JUnit report, one suite per check and one case per promise, as CI systems read it."""
    root = ET.Element("testsuites", name="floe contract test")
    for run in runs:
        lines = lines_of(run)
        states = [line.status for line in lines]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=f"{run.contract.id} {run.check.value}",
            tests=str(len(lines)),
            failures=str(states.count(CheckStatus.FAIL)),
            errors=str(sum(state in {CheckStatus.ERROR, CheckStatus.UNKNOWN} for state in states)),
            skipped=str(states.count(CheckStatus.SKIPPED)),
            time=f"{run.duration.total_seconds():.3f}",
            timestamp=run.checked_at.isoformat(),
        )
        for line in lines:
            _case(suite, run, line)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


_JUNIT = {
    CheckStatus.FAIL: "failure",
    CheckStatus.ERROR: "error",
    CheckStatus.UNKNOWN: "error",
    CheckStatus.SKIPPED: "skipped",
}


def _case(suite: ET.Element, run: CheckRun, line: Line) -> None:
    name, text = (_NOT_XML.sub("\ufffd", given) for given in (line.element, line.text or line.status.sentence))
    case = ET.SubElement(suite, "testcase", classname=f"{run.contract.id.name}.{line.check}", name=name)
    if kind := _JUNIT.get(line.status):
        ET.SubElement(case, kind, message=text)
