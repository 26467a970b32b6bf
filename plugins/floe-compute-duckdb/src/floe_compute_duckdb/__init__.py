"""DuckDB as compute: queries on a DuckDB file, and whether it can be reached."""

from floe_compute_duckdb.plugin import DuckDBComputeConfig, DuckDBComputePlugin

__all__ = ["DuckDBComputeConfig", "DuckDBComputePlugin"]
