"""What rotation tells whoever runs it: for metrics, logs and Events."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from floe_certs.defects import Defect
from floe_certs.planning import Step


class Failure(StrEnum):
    """Why a round did not do what it should have; a bounded set, fit for a metric's label."""

    API_UNREACHABLE = "api_unreachable"
    API_REFUSED = "api_refused"
    CONFLICT = "conflict"
    INTERNAL = "internal"


FAILURES: tuple[Failure | Defect, ...] = (*Failure, *Defect)
"""Every reason that `Observer.failed` may be given."""


class Repair(StrEnum):
    """What was put back after somebody else had changed it; a bounded set, fit for a metric's label."""

    CA_BUNDLE = "ca_bundle"
    SECRET = "secret"  # noqa: S105 - a metric's label, no password


class Observer(Protocol):
    """Takes note of what happens; called in the event loop's thread, must not block or raise."""

    def stepped(self, step: Step, reason: str) -> None:
        """The leader has taken a step with our own authority."""
        ...

    def serving(self, ends_at: datetime, authority_ends_at: datetime) -> None:
        """This replica serves a new certificate, or its authority was replaced."""
        ...

    def repaired(self, repair: Repair) -> None:
        """Something was put back."""
        ...

    def failed(self, reason: Failure | Defect, sentence: str) -> None:
        """Something went wrong; the sentence names no key. What stays wrong in a Secret is told once."""
        ...


class Silence:
    """An observer that nobody listens to."""

    def stepped(self, step: Step, reason: str) -> None:
        """See `Observer`."""

    def serving(self, ends_at: datetime, authority_ends_at: datetime) -> None:
        """See `Observer`."""

    def repaired(self, repair: Repair) -> None:
        """See `Observer`."""

    def failed(self, reason: Failure | Defect, sentence: str) -> None:
        """See `Observer`."""
