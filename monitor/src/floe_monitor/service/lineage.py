"""Runs of checks as OpenLineage events (FR-009, FR-023): START, then how it ended.

| check ended with                    | second event | run facets, besides `test` |
|-------------------------------------|--------------|---------------------|
| pass, or a finding below error      | COMPLETE     | contractViolation if there is a finding |
| fail                                | FAIL         | contractViolation   |
| error                               | FAIL         | errorMessage        |
| unknown, skipped                    | ABORT        | errorMessage        |

Both events name the tables that were looked at as inputs; the second one carries what was found out about each
(`floe_monitor.service.assertions`).

Sending has a thread and a bounded queue of its own: a lineage backend that is away costs events, which are counted, and
never a check. In a cluster the sidecar beside the monitor makes it durable.
"""

import queue
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import attr
import structlog
from openlineage.client.event_v2 import InputDataset, Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import JobFacet, RunFacet, error_message_run, job_type_job, nominal_time_run, test_run

from floe_core.errors import FloeError
from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_monitor.checks.model import CheckStatus, Finding, Outcome
from floe_monitor.service.assertions import NameDataset, datasets_of
from floe_monitor.store.records import CheckRun

_log = structlog.get_logger(__name__)
# OpenLineage asks for URIs; the facet's own published schema says `floe`, which is none.
PRODUCER: Final = "https://floe.dev/contract-monitor"
FACET_SCHEMA: Final = "https://floe.dev/schemas/contract-violation-facet.json"
JOB_NAMESPACE: Final = "floe"
_ENDS = {CheckStatus.PASS: RunState.COMPLETE, CheckStatus.FAIL: RunState.FAIL, CheckStatus.ERROR: RunState.FAIL}


@attr.define
class ContractViolationRunFacet(RunFacet):
    """What a check found, as FR-023 lists it."""

    contractName: str  # noqa: N815 - names of the facet's schema
    contractVersion: str  # noqa: N815 - a name of the schema
    violationType: str  # noqa: N815 - a name of the schema
    severity: str
    message: str
    timestamp: str
    element: str | None = None
    expectedValue: str | None = None  # noqa: N815 - a name of the schema
    actualValue: str | None = None  # noqa: N815 - a name of the schema

    @staticmethod
    def _get_schema() -> str:
        return FACET_SCHEMA


def events_of(run: CheckRun, name_of: NameDataset) -> tuple[RunEvent, RunEvent]:
    """The two events of a run; both have its id as run id.

    Args:
        run: A run of a check.
        name_of: A table's name in lineage, by the parts of its name in the source.
    """
    job = Job(
        namespace=JOB_NAMESPACE,
        name=f"contract_check.{run.contract.id.name}.{run.check.value}",
        facets=_job_facets(),
    )
    planned: dict[str, RunFacet] = {
        "nominalTime": nominal_time_run.NominalTimeRunFacet(run.planned_at.isoformat(), producer=PRODUCER)
    }
    inputs = partial(datasets_of, run, name_of, PRODUCER)
    start = _event(RunState.START, run.checked_at, Run(str(run.id), planned), job, inputs(asserted=False))
    state = _ENDS.get(run.verdict.status, RunState.ABORT)
    ended = Run(str(run.id), planned | _end_facets(run))
    end = _event(state, run.checked_at + run.duration, ended, job, inputs(asserted=True))
    return start, end


def _event(state: RunState, at: datetime, run: Run, job: Job, inputs: list[InputDataset]) -> RunEvent:
    return RunEvent(eventTime=at.isoformat(), run=run, job=job, producer=PRODUCER, eventType=state, inputs=inputs)


def _job_facets() -> dict[str, JobFacet]:
    return {"jobType": job_type_job.JobTypeJobFacet("BATCH", "FLOE", "CONTRACT_CHECK", producer=PRODUCER)}


def _end_facets(run: CheckRun) -> dict[str, RunFacet]:
    facets: dict[str, RunFacet] = {"test": _tests(run)}
    if run.verdict.findings:
        worst = max(run.verdict.findings, key=lambda finding: finding.severity.rank)
        facets["contractViolation"] = _violation(run, worst)
    if run.verdict.status not in {CheckStatus.PASS, CheckStatus.FAIL}:
        message = run.verdict.reason or run.verdict.status.sentence
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, "python", producer=PRODUCER)
    return facets


def _tests(run: CheckRun) -> test_run.TestRunFacet:
    """Each promise as a test, the standard's words for what `contractViolation` tells of the worst one."""
    return test_run.TestRunFacet([_test(run, outcome) for outcome in run.verdict.outcomes], producer=PRODUCER)


def _test(run: CheckRun, outcome: Outcome) -> test_run.TestExecution:
    finding = outcome.finding
    is_heavy = finding is None or finding.severity.rank >= ViolationSeverity.ERROR.rank
    return test_run.TestExecution(
        name=outcome.element or run.contract.id.name,
        status=_test_status(run.check, outcome),
        severity="error" if is_heavy else "warn",
        type=run.check.value,
        expected=finding.expected if finding else None,
        actual=finding.actual if finding else None,
    )


def _test_status(check: ViolationType, outcome: Outcome) -> str:
    if outcome.status is CheckStatus.FAIL:
        return "fail"
    if outcome.status is not CheckStatus.PASS:
        return "skip"
    # A light quality rule is broken although the check passes; elsewhere a light finding is an early warning.
    return "fail" if check is ViolationType.QUALITY and outcome.finding is not None else "pass"


def _violation(run: CheckRun, finding: Finding) -> ContractViolationRunFacet:
    return ContractViolationRunFacet(
        contractName=run.contract.id.name,
        contractVersion=run.contract.id.version,
        violationType=run.check.value,
        severity=finding.severity.value,
        message=finding.message,
        timestamp=run.checked_at.isoformat(),
        element=finding.element,
        expectedValue=finding.expected,
        actualValue=finding.actual,
        producer=PRODUCER,
    )


class LineageEmitter:
    """Sends the events of runs; a listener of the runner.

    Args:
        emit: Sends one event; blocks, may raise.
        on_dropped: Called with how many events were lost, and why.
        name_of: See `events_of`.
        capacity: Runs that may wait.
    """

    def __init__(
        self,
        emit: Callable[[RunEvent], object],
        on_dropped: Callable[[int, str], None],
        name_of: NameDataset,
        *,
        capacity: int = 500,
    ) -> None:
        self._emit = emit
        self._on_dropped = on_dropped
        self._name_of = name_of
        self._waiting: queue.Queue[CheckRun | None] = queue.Queue(capacity)
        self._is_failing = False
        self._thread = threading.Thread(target=self._work, name="lineage", daemon=True)

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def __call__(self, run: CheckRun) -> None:
        """Takes a run; never waits."""
        try:
            self._waiting.put_nowait(run)
        except queue.Full:
            self._on_dropped(2, "queue_full")

    def stop(self, within: timedelta) -> None:
        """Sends what waits, as far as the time allows; blocks."""
        try:
            self._waiting.put(None, timeout=within.total_seconds())
        except queue.Full:
            return
        self._thread.join(within.total_seconds())

    def _work(self) -> None:
        while (run := self._waiting.get()) is not None:
            try:
                events = events_of(run, self._name_of)
            except FloeError as error:  # a compute plugin that cannot name a table
                self._on_dropped(2, "not_named")
                _log.warning("lineage.not_named", reason=str(error))
            except Exception:  # noqa: BLE001 - the outermost edge of this thread: one run never ends the others' events
                self._on_dropped(2, "not_made")
                _log.exception("lineage.not_made", key=run.key)
            else:
                self._send(events)

    def _send(self, events: Sequence[RunEvent]) -> None:
        for number, event in enumerate(events):
            try:
                self._emit(event)
            except Exception as error:  # noqa: BLE001 - the outermost edge of this thread; transports raise what they like
                self._on_dropped(len(events) - number, "not_sent")
                if not self._is_failing:
                    # Its text may hold an address with a credential.
                    _log.warning("lineage.not_sent", reason=type(error).__name__)
                self._is_failing = True
                return
        self._is_failing = False
