"""Runs migrations on the connection that `floe_monitor.store.database` hands over."""

from alembic import context

from floe_monitor.store.tables import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata, compare_type=True)
with context.begin_transaction():
    context.run_migrations()
