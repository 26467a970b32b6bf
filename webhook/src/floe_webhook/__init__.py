"""The admission webhook: decides, plans and patches pods that opted in."""

__version__ = "0.1.0"
"""The distribution's version; it stands in every pod that is injected."""
