"""The channel `console`: alerts as lines for the person at the terminal."""

from datetime import UTC
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.text import Text

from floe_core.plugin_interfaces.alert_channel import AlertChannelPlugin, AlertKind, ContractViolationEvent

_SIGNS = {AlertKind.OPENED: "▲ ALERT", AlertKind.ESCALATED: "▲ WORSE", AlertKind.RESOLVED: "✓ RECOVERED"}
_STYLES = {"info": "cyan", "warning": "yellow", "error": "red", "critical": "bold red"}


class ConsoleAlertConfig(BaseModel):
    """`config:` of the channel in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: Literal["stdout", "stderr"] = Field(default="stdout", description="Where lines go")


class ConsoleAlertPlugin(AlertChannelPlugin):
    """Prints each alert as one line."""

    name = "console"
    version = "0.1.0"
    description = "Lines on the monitor's own output"
    config_schema: ClassVar[type[BaseModel] | None] = ConsoleAlertConfig
    config: ConsoleAlertConfig | None

    @property
    def is_configured(self) -> bool:
        """Always: its defaults are enough."""
        return True

    async def send_alert(self, event: ContractViolationEvent) -> bool:
        """Prints it; false if the output is closed."""
        config = self.config or ConsoleAlertConfig()
        try:
            Console(stderr=config.stream == "stderr", highlight=False, soft_wrap=True).print(alert_line(event))
        except (OSError, ValueError):  # a closed pipe, a closed file
            return False
        return True

    def validate_config(self) -> list[str]:
        """Nothing can be wrong that the model accepts."""
        return []


def alert_line(event: ContractViolationEvent) -> Text:
    """Time, what happened, how bad, of which contract, and the message."""
    style = "green" if event.kind is AlertKind.RESOLVED else _STYLES[event.severity.value]
    line = Text(f"{event.timestamp.astimezone(UTC):%H:%M:%S}  ", style="dim")
    line.append(f"{_SIGNS[event.kind]} ", style=style)
    line.append(f"{event.severity.value} {event.violation_type.value} ", style=style)
    line.append(f"{event.contract_name}:{event.contract_version}  ", style="bold")
    line.append(event.message)
    return line
