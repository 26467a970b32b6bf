"""The interface of transforms: one step of a product, e.g. dbt or Python (requirements file 003 §4.2)."""

from abc import abstractmethod
from typing import ClassVar

from floe_core.artifacts import CompiledArtifacts, TransformConfig
from floe_core.plugin_interfaces.metadata import PluginMetadata


class TransformExecutor(PluginMetadata):
    """Executes one kind of transform (entry points: `floe.transforms`); the entry point's name is the kind."""

    name: ClassVar[str] = ""
    version: ClassVar[str] = "0.0.0"

    @abstractmethod
    def execute(self, config: TransformConfig, artifacts: CompiledArtifacts) -> None:
        """Executes the transform to its end.

        Raises:
            floe_core.errors.ExecutionError: The transform failed.
        """
