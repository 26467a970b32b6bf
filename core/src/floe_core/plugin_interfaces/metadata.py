"""What every plugin says of itself, whatever it is for."""

from abc import ABC
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field

FLOE_API_VERSION = "1.0"


class Frozen(BaseModel):
    """A value that crosses the boundary between floe and a plugin."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class HealthState(StrEnum):
    """How well a plugin can do its work."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class HealthStatus(Frozen):
    """A plugin's state and, when it is not healthy, why."""

    state: HealthState
    message: str = ""
    details: dict[str, Any] = Field(default_factory=dict)


class ValidationResult(Frozen):
    """The outcome of validating something, with sentences that a person can act on."""

    success: bool
    message: str = ""
    details: dict[str, Any] = Field(default_factory=dict)


class PluginMetadata(ABC):
    """The part of the interface that all kinds of plugins share.

    A plugin is constructed without arguments or with an instance of its `config_schema`; construction does no I/O.
    Class attributes make `name`, `version` and `floe_api_version` readable before anything is constructed.
    """

    name: ClassVar[str]
    """Entry-point name, e.g. `jaeger`."""
    version: ClassVar[str]
    """The plugin's own version (SemVer)."""
    floe_api_version: ClassVar[str] = FLOE_API_VERSION
    """The version of these interfaces that the plugin was written for: `MAJOR.MINOR`."""
    description: ClassVar[str] = ""
    config_schema: ClassVar[type[BaseModel] | None] = None
    """The model of the plugin's `config:` in the manifest; None if it takes no configuration."""

    def __init__(self, config: BaseModel | None = None) -> None:
        self.config = config

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> Self:
        """A plugin configured by the manifest's `config:`.

        Raises:
            pydantic.ValidationError: The configuration does not fit `config_schema`.
        """
        return cls(cls.config_schema.model_validate(dict(config))) if cls.config_schema else cls()

    @property
    def is_configured(self) -> bool:
        """Whether the plugin has the configuration that it needs."""
        return self.config_schema is None or self.config is not None

    def health_check(self, timeout_seconds: float = 5.0) -> HealthStatus:  # noqa: ARG002 - part of the interface
        """The plugin's state, within the timeout."""
        return HealthStatus(state=HealthState.HEALTHY)

    def startup(self) -> None:  # noqa: B027 - an optional hook
        """Called once before the first use in a service; at most 30 s."""

    def shutdown(self) -> None:  # noqa: B027 - an optional hook
        """Called once at a service's end; at most 30 s."""


class PluginKind(StrEnum):
    """The kinds of plugins; the value is the key in the manifest's `plugins:`."""

    TELEMETRY_BACKEND = "telemetry_backend"
    LINEAGE_BACKEND = "lineage_backend"
    ORCHESTRATOR = "orchestrator"
    CATALOG = "catalog"
    COMPUTE = "compute"
    QUALITY = "quality"
    ALERT_CHANNEL = "alert_channel"
    TRANSFORM = "transform"
    TARGET = "target"

    @property
    def entry_point_group(self) -> str:
        """The group under which distributions register plugins of this kind."""
        return _GROUPS[self]


_GROUPS = {
    PluginKind.TELEMETRY_BACKEND: "floe.telemetry_backends",
    PluginKind.LINEAGE_BACKEND: "floe.lineage_backends",
    PluginKind.ORCHESTRATOR: "floe.orchestrators",
    PluginKind.CATALOG: "floe.catalogs",
    PluginKind.COMPUTE: "floe.computes",
    PluginKind.QUALITY: "floe.quality",
    PluginKind.ALERT_CHANNEL: "floe.alert_channels",
    PluginKind.TRANSFORM: "floe.transforms",
    PluginKind.TARGET: "floe.targets",
}
