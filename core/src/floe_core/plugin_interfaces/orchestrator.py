"""The interface of orchestrators: assets from compiled artifacts, Helm values, a bounded probe (REQ-021 to REQ-030)."""

from abc import abstractmethod
from typing import Any, Literal

from pydantic import Field

from floe_core.artifacts import CompiledArtifacts
from floe_core.plugin_interfaces.metadata import Frozen, PluginMetadata, ValidationResult

VALIDATION_TIMEOUT_SECONDS = 10.0
"""Longest time that `validate_connection` may take (REQ-024)."""

WorkloadSize = Literal["small", "medium", "large"]


class ResourceAmounts(Frozen):
    """CPU and memory as Kubernetes quantities."""

    cpu: str = Field(description="e.g. 500m")
    memory: str = Field(description="e.g. 1Gi")


class ResourceRequirements(Frozen):
    """Kubernetes resources of one component; `model_dump()` is the mapping that Kubernetes takes."""

    requests: ResourceAmounts
    limits: ResourceAmounts


class OrchestratorPlugin(PluginMetadata):
    """Runs a platform's products on an orchestrator (entry points: `floe.orchestrators`)."""

    @abstractmethod
    def create_assets_from_artifacts(self, artifacts: CompiledArtifacts) -> dict[str, Any] | list[Any]:
        """The orchestrator's own definitions for a product: every dbt model, schedule and sensor, lineage preserved.

        Raises:
            floe_core.errors.PluginExecutionError: The artifacts cannot be expressed; says which part and what to do.
        """

    @abstractmethod
    def get_helm_values(self) -> dict[str, Any]:
        """Values for the orchestrator's chart: resources, service, replicas and autoscaling of its components."""

    @abstractmethod
    def validate_connection(self) -> ValidationResult:
        """Whether the orchestrator's service answers and accepts the credentials.

        A refusal is a result with a sentence that can be acted on, never an exception; bounded to
        `VALIDATION_TIMEOUT_SECONDS` (REQ-024).
        """

    @abstractmethod
    def get_resource_requirements(self, workload_size: WorkloadSize = "medium") -> dict[str, ResourceRequirements]:
        """Sensible resources by component, e.g. `webserver`; the configuration's overrides win (REQ-025)."""
