"""A contract violation as a CloudEvent 1.0, structured or binary."""

from typing import Any, Final, Literal

from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from floe_core.plugin_interfaces.alert_channel import ContractViolationEvent

# FR-032
TYPE: Final = "floe.contract.violation"
SOURCE: Final = "floe-contract-monitor"
_MAX_TEXT: Final = 4096  # keeps an event far below the 64 KiB that every receiver must take

Mode = Literal["structured", "binary"]


def http_message(event: ContractViolationEvent, mode: Mode) -> tuple[dict[str, str], bytes]:
    """Headers and body of the event; its id stays the same however often it is sent."""
    cloud_event = CloudEvent(
        {
            "id": event.id,
            "source": SOURCE,
            "type": TYPE,
            "specversion": "1.0",
            "time": event.timestamp,
            "subject": f"{event.contract_name}:{event.contract_version}",
            "datacontenttype": "application/json",
        },
        _payload(event),
    )
    message = (to_binary_event if mode == "binary" else to_structured_event)(cloud_event)
    headers = dict(message.headers)
    if mode == "structured":
        headers["content-type"] = "application/cloudevents+json; charset=utf-8"
    return headers, bytes(message.body)


def _payload(event: ContractViolationEvent) -> dict[str, Any]:
    return {
        "contractName": event.contract_name,
        "contractVersion": event.contract_version,
        "violationType": str(event.violation_type),
        "severity": str(event.severity),
        "kind": str(event.kind),
        "message": event.message[:_MAX_TEXT],
        "element": event.element,
        "expectedValue": event.expected_value,
        "actualValue": event.actual_value,
        "affectedConsumers": list(event.affected_consumers),
        "checkDurationSeconds": event.check_duration_seconds,
        "metadata": dict(event.metadata),
    }
