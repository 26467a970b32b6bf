"""CompiledArtifacts: what a product's compilation hands to plugins, as far as the plugin interfaces need it."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from floe_core.credentials import SecretKey


class DeploymentMode(StrEnum):
    """How a platform is cut into products."""

    SIMPLE = "simple"
    CENTRALIZED = "centralized"
    MESH = "mesh"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CompilationMetadata(_Frozen):
    """When, by what and from what the artifacts were compiled."""

    compiled_at: datetime
    floe_version: str
    source_hash: str = Field(description="sha256:<64 hex digits> of the sources")
    product_name: str
    product_version: str


class ProductIdentity(_Frozen):
    """Which data product the artifacts belong to."""

    product_id: str
    domain: str
    repository: str = ""


class ResolvedPlugin(_Frozen):
    """A plugin as the manifest resolved it."""

    type: str
    version: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)


class TransformConfig(_Frozen):
    """One transformation of the product (requirements file 003 §4.2)."""

    type: str = Field(description="Name of the transform plugin, e.g. dbt or python")
    path: str
    options: dict[str, Any] = Field(default_factory=dict)


class DbtModel(_Frozen):
    """A dbt model with what it reads."""

    name: str
    depends_on: tuple[str, ...] = ()
    columns: dict[str, str] = Field(default_factory=dict, description="Column name to type")


class Schedule(_Frozen):
    """When a job of the product runs."""

    job: str
    cron: str
    timezone: str = "UTC"


class Sensor(_Frozen):
    """What starts a job of the product besides the clock."""

    job: str
    watches: str


class CompiledArtifacts(_Frozen):
    """The compiled form of one data product; immutable."""

    version: str = "0.10.0"
    metadata: CompilationMetadata
    identity: ProductIdentity
    mode: DeploymentMode = DeploymentMode.SIMPLE
    plugins: dict[str, ResolvedPlugin] = Field(default_factory=dict, description="By kind, e.g. lineage_backend")
    transforms: tuple[TransformConfig, ...] = ()
    models: tuple[DbtModel, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    sensors: tuple[Sensor, ...] = ()
    dbt_profiles: dict[str, Any] = Field(default_factory=dict)
    data_contracts: tuple[dict[str, Any], ...] = ()
    lineage_namespace: str | None = None
    credentials: dict[str, SecretKey] = Field(
        default_factory=dict, description="Where a pod gets a credential from, by its name"
    )
