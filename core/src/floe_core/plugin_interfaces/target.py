"""The interface of dbt targets: how a profile for an engine looks (requirements file 003 §4.3)."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from floe_core.plugin_interfaces.metadata import PluginMetadata


class ComputeTarget(PluginMetadata):
    """Writes the dbt profile of one engine (entry points: `floe.targets`)."""

    version: ClassVar[str] = "0.0.0"

    @abstractmethod
    def generate_profile(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """The profile's target; credentials stand in it as `{{ env_var('NAME') }}`, never as values."""
