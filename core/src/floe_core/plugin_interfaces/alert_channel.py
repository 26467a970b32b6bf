"""The interface of alert channels and the one value that crosses it (FR-026, FR-027)."""

from abc import abstractmethod
from enum import StrEnum

from pydantic import AwareDatetime, Field

from floe_core.plugin_interfaces.metadata import Frozen, PluginMetadata


class ViolationType(StrEnum):
    """What a contract promised and did not keep."""

    FRESHNESS = "freshness"
    SCHEMA_DRIFT = "schema_drift"
    QUALITY = "quality"
    AVAILABILITY = "availability"
    DEPRECATION = "deprecation"


class ViolationSeverity(StrEnum):
    """How much a finding weighs, lightest first."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info to 3 for critical."""
        return tuple(ViolationSeverity).index(self)


class AlertKind(StrEnum):
    """What happened to the episode that the alert is about."""

    OPENED = "opened"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


class ContractViolationEvent(Frozen):
    """What the monitor tells a channel: names and aggregates, never a value of the data (FR-025)."""

    id: str = Field(description="Stays the same when the same alert is sent again")
    kind: AlertKind = AlertKind.OPENED
    contract_name: str
    contract_version: str
    violation_type: ViolationType
    severity: ViolationSeverity
    message: str
    element: str | None = None
    expected_value: str | None = None
    actual_value: str | None = None
    timestamp: AwareDatetime
    affected_consumers: tuple[str, ...] = ()
    check_duration_seconds: float = Field(default=0.0, ge=0)
    metadata: dict[str, str] = Field(default_factory=dict)


class AlertChannelPlugin(PluginMetadata):
    """Tells people or systems about contract violations (entry points: `floe.alert_channels`)."""

    @abstractmethod
    async def send_alert(self, event: ContractViolationEvent) -> bool:
        """Sends once; False (with a logged reason, without credentials) if it could not be delivered. Never raises."""

    @abstractmethod
    def validate_config(self) -> list[str]:
        """What is wrong with the configuration, as sentences; empty if nothing is."""
