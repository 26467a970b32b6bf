"""What the monitor can do now, for `/healthz` and `/readyz` (FR-005)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from floe_monitor.store.records import CheckRun


@dataclass(slots=True)
class ServiceState:
    """Facts about the running monitor.

    Attributes:
        store_failure: Why the database cannot be used; None if it can. Asked when somebody wants to know.
        problems: What a person should mend, e.g. contracts that cannot be read; they do not end readiness.
    """

    store_failure: Callable[[], str | None] = lambda: "The database has not been reached yet."
    contracts: int = 0
    problems: list[str] = field(default_factory=list)
    last_checks: dict[str, datetime] = field(default_factory=dict)
    stopping: bool = False

    def checked(self, run: CheckRun) -> None:
        """Remembers when a type of check last came to an end."""
        self.last_checks[run.check.value] = run.checked_at

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether it can do its work now, and what it cannot."""
        failure = self.store_failure()
        cannot = []
        if failure is not None:
            cannot.append(f"Results are not stored and alerts are not sent: {failure}")
        if self.stopping:
            cannot.append("It is stopping.")
        return not cannot, {
            "ready": not cannot,
            "cannot": cannot,
            "contracts": self.contracts,
            "problems": self.problems,
            "last_checks": {check: at.isoformat() for check, at in sorted(self.last_checks.items())},
        }
