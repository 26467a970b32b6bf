"""Iceberg catalogs: `rest` for any REST catalog, `sql` for pyiceberg's SQL catalog.

Nothing is imported here: a monitor with a REST catalog does not pay for SQLAlchemy and pyarrow.
"""
