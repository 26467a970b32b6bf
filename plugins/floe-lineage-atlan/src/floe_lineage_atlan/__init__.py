"""Atlan as lineage backend."""

from floe_lineage_atlan.plugin import AtlanConfig, AtlanLineagePlugin

__all__ = ["AtlanConfig", "AtlanLineagePlugin"]
