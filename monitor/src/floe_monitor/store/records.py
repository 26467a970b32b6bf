"""What is recorded of one run of a check: its verdict, the steps of its episodes, the alerts that follow."""

import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from floe_core.plugin_interfaces.alert_channel import ContractViolationEvent, ViolationType
from floe_monitor.alerts.episodes import Episode, Step
from floe_monitor.checks.field_ids import FieldIds
from floe_monitor.checks.model import Verdict
from floe_monitor.contracts.model import Contract, ContractId


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert for one channel.

    Attributes:
        position: Order among the alerts of one episode; a channel hears of them in this order.
    """

    episode_id: UUID
    position: int
    channel: str
    event: ContractViolationEvent


@dataclass(frozen=True, slots=True)
class CheckRun:
    """One run of one check of one contract.

    Attributes:
        planned_at: The deadline that it was started for.
        checked_at: When it really began.
        fence: Of the lease under which it ran; None where there are no leases.
        begun: When it really began, by this process's monotonic clock: how long ago that is does not depend on whether
            two machines' clocks agree.
    """

    id: UUID
    contract: Contract
    check: ViolationType
    planned_at: datetime
    checked_at: datetime
    duration: timedelta
    verdict: Verdict
    steps: tuple[Step, ...] = ()
    alerts: tuple[Alert, ...] = ()
    fence: int | None = None
    begun: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> str:
        """Names the (contract, check)."""
        return key_of(self.contract.id, self.check)


def key_of(contract: ContractId, check: ViolationType) -> str:
    """The name of a (contract, check), for timetables and logs."""
    return f"{contract} {check.value}"


@dataclass(frozen=True, slots=True)
class PastState:
    """What the store remembers of one (contract, check) when a process takes it over.

    Attributes:
        last_run: Start of the newest run.
        open_episodes: By element.
        broken_at: By element, when promises were broken within the window that severity counts.
        pings: Newest observations of availability, oldest first: time and whether the source was up.
        field_ids: Of the contract's columns.
    """

    last_run: datetime | None = None
    open_episodes: tuple[Episode, ...] = ()
    broken_at: tuple[tuple[str | None, datetime], ...] = ()
    pings: tuple[tuple[datetime, bool], ...] = ()
    field_ids: FieldIds = field(default_factory=FieldIds)
