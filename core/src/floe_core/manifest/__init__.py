"""The platform manifest: models, loading, migration and the published schema."""

from floe_core.manifest.loading import LoadedManifest, load_manifest, parse_manifest, read_manifest
from floe_core.manifest.migration import Deprecation
from floe_core.manifest.models import Manifest
from floe_core.manifest.schema import manifest_schema

__all__ = [
    "Deprecation",
    "LoadedManifest",
    "Manifest",
    "load_manifest",
    "manifest_schema",
    "parse_manifest",
    "read_manifest",
]
