"""The interfaces of all plugins, one file each, and the registry that finds them by entry point.

What a plugin's author needs is named here, and stable within one `FLOE_API_VERSION`; the modules `connection` and
`collector_values` help with probes and the Collector's chart, and are imported by name because they cost more.
"""

from floe_core.plugin_interfaces.alert_channel import (
    AlertChannelPlugin,
    AlertKind,
    ContractViolationEvent,
    ViolationSeverity,
    ViolationType,
)
from floe_core.plugin_interfaces.catalog import Catalog, CatalogPlugin, Column, Snapshot, Table
from floe_core.plugin_interfaces.compute import (
    CatalogConfig,
    ComputeConfig,
    ComputePlugin,
    ConnectionResult,
    ConnectionStatus,
    DatasetName,
    ResourceSpec,
)
from floe_core.plugin_interfaces.lineage import LineageBackendPlugin, OpenLineageTransport
from floe_core.plugin_interfaces.metadata import (
    FLOE_API_VERSION,
    Frozen,
    HealthState,
    HealthStatus,
    PluginKind,
    PluginMetadata,
    ValidationResult,
)
from floe_core.plugin_interfaces.orchestrator import (
    VALIDATION_TIMEOUT_SECONDS,
    OrchestratorPlugin,
    ResourceAmounts,
    ResourceRequirements,
    WorkloadSize,
)
from floe_core.plugin_interfaces.quality import (
    Dimension,
    DimensionWeights,
    QualityCheck,
    QualityCheckResult,
    QualityConfig,
    QualityPlugin,
    QualityScore,
    QualitySuite,
    QualitySuiteResult,
    SeverityLevel,
    SeverityWeights,
)
from floe_core.plugin_interfaces.registry import BrokenPlugin, Place, PluginEntry, PluginRegistry
from floe_core.plugin_interfaces.target import ComputeTarget
from floe_core.plugin_interfaces.telemetry import BasicAuth, OTLPExporterConfig, Signal, TelemetryBackendPlugin
from floe_core.plugin_interfaces.transform import TransformExecutor

__all__ = [
    "FLOE_API_VERSION",
    "VALIDATION_TIMEOUT_SECONDS",
    "AlertChannelPlugin",
    "AlertKind",
    "BasicAuth",
    "BrokenPlugin",
    "Catalog",
    "CatalogConfig",
    "CatalogPlugin",
    "Column",
    "ComputeConfig",
    "ComputePlugin",
    "ComputeTarget",
    "ConnectionResult",
    "ConnectionStatus",
    "ContractViolationEvent",
    "DatasetName",
    "Dimension",
    "DimensionWeights",
    "Frozen",
    "HealthState",
    "HealthStatus",
    "LineageBackendPlugin",
    "OTLPExporterConfig",
    "OpenLineageTransport",
    "OrchestratorPlugin",
    "Place",
    "PluginEntry",
    "PluginKind",
    "PluginMetadata",
    "PluginRegistry",
    "QualityCheck",
    "QualityCheckResult",
    "QualityConfig",
    "QualityPlugin",
    "QualityScore",
    "QualitySuite",
    "QualitySuiteResult",
    "ResourceAmounts",
    "ResourceRequirements",
    "ResourceSpec",
    "SeverityLevel",
    "SeverityWeights",
    "Signal",
    "Snapshot",
    "Table",
    "TelemetryBackendPlugin",
    "TransformExecutor",
    "ValidationResult",
    "ViolationSeverity",
    "ViolationType",
    "WorkloadSize",
]
