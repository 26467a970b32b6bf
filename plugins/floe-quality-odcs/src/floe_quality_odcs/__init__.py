"""ODCS quality rules: counted in the source, one query per table, judged here."""

from floe_quality_odcs.plugin import OdcsQualityPlugin

__all__ = ["OdcsQualityPlugin"]
