"""One run of one check, from the probe to everybody who has to know."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from opentelemetry.trace import Span, Tracer

from floe_core.errors import FloeError
from floe_core.manifest.models import Monitoring
from floe_monitor.alerts.messages import alerts_for
from floe_monitor.alerts.routing import deliveries
from floe_monitor.checks.model import Verdict, unknown
from floe_monitor.service.watches import Target, Watch
from floe_monitor.store.records import Alert, CheckRun


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs checks.

    Attributes:
        settings: The platform's; a contract's own are merged over them.
        channels: Names of the configured alert channels.
        listeners: Called with each run, in order; they must not block.
    """

    settings: Monitoring
    channels: tuple[str, ...]
    tracer: Tracer
    listeners: Sequence[Callable[[CheckRun], None]]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def run(self, watch: Watch, target: Target, planned_at: datetime) -> CheckRun:
        """Observes, judges, follows the episodes, and tells the listeners."""
        checked_at = self.clock()
        begin = time.monotonic()
        with self.tracer.start_as_current_span("contract.check") as span:
            verdict = await self._verdict(watch, target)
            duration = timedelta(seconds=time.monotonic() - begin)
            steps = target.memory.follow(verdict, checked_at)
            run = CheckRun(
                id=uuid4(),
                contract=target.contract,
                check=watch.check.type,
                planned_at=planned_at,
                checked_at=checked_at,
                duration=duration,
                verdict=verdict,
                steps=steps,
                fence=target.fence,
                begun=begin,
            )
            run = self._with_alerts(run)
            _describe(span, run)
            for listener in self.listeners:
                listener(run)
        return run

    async def _verdict(self, watch: Watch, target: Target) -> Verdict:
        try:
            facts = await watch.observe(target)
        except FloeError as error:
            return unknown((None,), error.what)
        skew = timedelta(seconds=self.settings.clock_skew_tolerance_seconds)
        settings = target.contract.overrides.merged(self.settings)
        rules = target.memory.rules(settings.severity_thresholds, skew, self.clock())
        return watch.check.judge(target.contract, facts, rules)

    def _with_alerts(self, run: CheckRun) -> CheckRun:
        alerts: list[Alert] = []
        rules = run.contract.overrides.merged(self.settings).alerts.routing_rules
        for step in run.steps:
            wanted = deliveries(step, run.contract.id.name, self.channels, rules)
            alerts += alerts_for(
                step, wanted, contract=run.contract, check=run.check, at=run.checked_at, duration=run.duration
            )
        return replace(run, alerts=tuple(alerts))


def _describe(span: Span, run: CheckRun) -> None:
    """The span's attributes (FR-034)."""
    span.set_attributes(
        {
            "floe.contract.name": run.contract.id.name,
            "floe.contract.version": run.contract.id.version,
            "floe.check.type": run.check.value,
            "floe.check.status": run.verdict.status.value,
            "floe.check.duration_ms": run.duration.total_seconds() * 1000,
        }
    )
    worst = max((finding.severity for finding in run.verdict.findings), key=lambda found: found.rank, default=None)
    if worst is not None:
        span.set_attributes({"floe.violation.severity": worst.value, "floe.violation.type": run.check.value})
