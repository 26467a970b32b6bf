"""From a step of an episode to the events that channels get (pure)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

from floe_core.plugin_interfaces.alert_channel import AlertKind, ContractViolationEvent, ViolationType
from floe_monitor.alerts.episodes import Step
from floe_monitor.alerts.routing import Delivery
from floe_monitor.contracts.model import Contract
from floe_monitor.store.records import Alert

LAST_POSITION: Final = 10


def alerts_for(
    step: Step,
    wanted: Iterable[Delivery],
    *,
    contract: Contract,
    check: ViolationType,
    at: datetime,
    duration: timedelta,
) -> tuple[Alert, ...]:
    """One alert per delivery. Ids follow from episode, channel and step: the same step never makes two alerts."""
    position = _position(step)
    return tuple(
        Alert(
            episode_id=step.episode.id,
            position=position,
            channel=delivery.channel,
            event=_event(step, delivery, position, contract=contract, check=check, at=at, duration=duration),
        )
        for delivery in wanted
    )


def _position(step: Step) -> int:
    """An opening and escalations by their severity, the end last."""
    return LAST_POSITION if step.told is AlertKind.RESOLVED else step.episode.severity.rank


def _event(
    step: Step,
    delivery: Delivery,
    position: int,
    *,
    contract: Contract,
    check: ViolationType,
    at: datetime,
    duration: timedelta,
) -> ContractViolationEvent:
    finding = step.outcome.finding
    return ContractViolationEvent(
        id=str(event_id(step.episode.id, delivery.channel, position)),
        kind=delivery.kind,
        contract_name=contract.id.name,
        contract_version=contract.id.version,
        violation_type=check,
        severity=step.episode.severity,
        message=_message(step),
        element=step.episode.element,
        expected_value=finding.expected if finding else None,
        actual_value=finding.actual if finding else None,
        timestamp=at,
        affected_consumers=contract.consumers,
        check_duration_seconds=duration.total_seconds(),
        metadata={"episode_id": str(step.episode.id), "opened_at": step.episode.opened_at.isoformat()},
    )


def event_id(episode: UUID, channel: str, position: int) -> UUID:
    """The id of an alert."""
    return uuid5(episode, f"{channel}/{position}")


def _message(step: Step) -> str:
    if step.told is AlertKind.RESOLVED:
        ending = f" {step.outcome.finding.message}" if step.outcome.finding else ""
        return f"Recovered. It was: {step.episode.message}{ending}"
    return step.episode.message
