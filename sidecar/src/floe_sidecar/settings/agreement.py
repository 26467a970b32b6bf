"""The number of the agreement between webhook and sidecar; `settings.protocol` says what follows from it."""

from __future__ import annotations

PROTOCOL = 1
"""Raised with each change of a variable's or a file's meaning that an older sidecar would misunderstand."""

PROTOCOL_VARIABLE = "FLOE_SIDECAR_PROTOCOL"
