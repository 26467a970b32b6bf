"""The published JSON Schema of the platform manifest, made from the models."""

from typing import Any

from floe_core.manifest.models import Manifest

SCHEMA_ID = "https://floe.dev/schemas/manifest-v1.json"


def manifest_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the manifest, for editors and pipelines; `floe manifest schema` prints it."""
    schema = Manifest.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, **schema}
