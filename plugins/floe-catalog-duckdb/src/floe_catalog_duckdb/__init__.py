"""Tables of a DuckDB file as a catalog."""

from floe_catalog_duckdb.plugin import DuckDBCatalog, DuckDBCatalogConfig, DuckDBCatalogPlugin

__all__ = ["DuckDBCatalog", "DuckDBCatalogConfig", "DuckDBCatalogPlugin"]
