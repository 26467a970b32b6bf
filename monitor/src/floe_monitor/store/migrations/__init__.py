"""The steps from an empty database to the schema of `floe_monitor.store.tables`, and back."""
