"""Builders with good defaults: contracts, findings, runs; and a clock that is told the time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from floe_core.plugin_interfaces.alert_channel import ViolationSeverity, ViolationType
from floe_monitor.alerts.messages import alerts_for
from floe_monitor.alerts.routing import deliveries
from floe_monitor.checks.model import CheckStatus, Finding, Outcome, Verdict
from floe_monitor.contracts.model import (
    AvailabilityPromise,
    Column,
    Contract,
    ContractId,
    ContractTable,
    FreshnessPromise,
    QualityRule,
    TableLocation,
)
from floe_monitor.service.memory import Memory
from floe_monitor.store.records import CheckRun

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
ORDERS = ContractTable("orders", TableLocation("orders", "main"))


@dataclass
class FakeClock:
    """A clock that stands still until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def move(self, by: timedelta) -> None:
        self.now += by


def contract(
    *,
    name: str = "orders",
    version: str = "1.0.0",
    freshness: timedelta | None = 2 * HOUR,
    column: str | None = "updated_at",
    time_zone: str | None = None,
    availability: float | None = None,
    consumers: tuple[str, ...] = (),
) -> Contract:
    """A contract over the table `orders`."""
    promises = () if freshness is None else (FreshnessPromise(ORDERS, freshness, column, time_zone),)
    return Contract(
        id=ContractId.of("sales", "shop", name, version),
        tables=(ORDERS,),
        freshness=promises,
        availability=None if availability is None else AvailabilityPromise(availability),
        consumers=consumers,
        document={"id": name},
    )


def described(of: Contract, columns: tuple[Column, ...]) -> Contract:
    """The contract with these columns in each of its tables."""
    return replace(of, tables=tuple(replace(table, columns=columns) for table in of.tables))


def schema_contract(*, tables: int = 1) -> Contract:
    """A contract that promises the schema of `orders` alone: an id and an amount."""
    columns = (Column("id", "id", "integer"), Column("amount", "amount", "number", physical_type="decimal(10,2)"))
    more = tuple(
        ContractTable(f"orders_{number}", TableLocation(f"orders_{number}")) for number in range(2, tables + 1)
    )
    return described(replace(contract(freshness=None), tables=(ORDERS, *more)), columns)


def quality_contract(*rules: QualityRule) -> Contract:
    """A contract that promises the content of `orders` alone."""
    return replace(contract(freshness=None), quality=rules)


def finding(severity: str = "error", *, element: str | None = "orders.updated_at", ongoing: bool = True) -> Finding:
    """A finding about the freshness of orders."""
    return Finding(
        ViolationSeverity(severity), "orders is stale", element, expected="at most 2 h", actual="3 h", ongoing=ongoing
    )


def outcome(
    severity: str | None = None, *, status: str | None = None, element: str | None = "orders.updated_at"
) -> Outcome:
    """An outcome: a pass, or one with a finding of the severity."""
    if severity is None:
        return Outcome(CheckStatus(status or "pass"), element, measure=60.0, threshold=7200.0)
    broken = severity in {"error", "critical"}
    found = finding(severity, element=element)
    return Outcome(CheckStatus(status or ("fail" if broken else "pass")), element, found, 10_800.0, 7200.0)


def check_run(
    *outcomes: Outcome,
    memory: Memory | None = None,
    at: datetime = NOW,
    channels: tuple[str, ...] = ("hook",),
    of: Contract | None = None,
    check: ViolationType = ViolationType.FRESHNESS,
    details: dict[str, Any] | None = None,
) -> CheckRun:
    """A run with these outcomes, with the steps and alerts that follow from what `memory` holds."""
    watched = of or contract()
    verdict = Verdict(outcomes or (outcome(),), details or {})
    steps = (memory or Memory()).follow(verdict, at)
    run = CheckRun(uuid4(), watched, check, at, at, 0.05 * SECOND, verdict, steps)
    alerts = [
        alert
        for step in steps
        for alert in alerts_for(
            step,
            deliveries(step, watched.id.name, channels, ()),
            contract=watched,
            check=check,
            at=at,
            duration=run.duration,
        )
    ]
    return replace(run, alerts=tuple(alerts))


async def until(condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 20.0) -> None:
    """Waits for a condition.

    Raises:
        TimeoutError: It did not come true in time.
    """
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)
