"""OpenMetadata as lineage backend."""

from floe_lineage_openmetadata.plugin import OpenMetadataConfig, OpenMetadataLineagePlugin

__all__ = ["OpenMetadataConfig", "OpenMetadataLineagePlugin"]
