"""The platform manifest: models, loading, migration and the published schema."""
