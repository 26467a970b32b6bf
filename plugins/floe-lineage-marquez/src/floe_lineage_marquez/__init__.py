"""Marquez as lineage backend."""

from floe_lineage_marquez.plugin import MarquezConfig, MarquezLineagePlugin

__all__ = ["MarquezConfig", "MarquezLineagePlugin"]
