"""The few things that rotation asks of the Kubernetes API, as protocols; `floe_certs.kubernetes` has them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class UnreachableError(Exception):
    """The API server does not answer, or answers that it cannot now; the same request may succeed later."""


class RefusedError(Exception):
    """The API server refuses a request, e.g. for want of rights; the message is its own."""


class ConflictError(Exception):
    """Somebody else has written since it was read, or was first to create: read again and decide anew."""


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """The shared Secret as it was read: its content, decoded."""

    data: Mapping[str, bytes] = field(repr=False)
    resource_version: str


class SecretStore(Protocol):
    """One Secret."""

    async def read_secret(self) -> StoredSecret | None:
        """The Secret as it is now; None if there is none."""
        ...

    async def write_secret(self, data: Mapping[str, bytes], stored: StoredSecret | None) -> StoredSecret:
        """Replaces the content of the Secret as it was read, or creates it if there was none.

        Raises:
            ConflictError: It is another one by now.
        """
        ...


@dataclass(frozen=True, slots=True)
class LiveTrust:
    """The `caBundle` of each entry of the webhook configuration, by the entry's name; empty bytes if it has none."""

    bundles: Mapping[str, bytes]
    resource_version: str


class TrustStore(Protocol):
    """One webhook configuration."""

    async def read_trust(self) -> LiveTrust | None:
        """What the API server has now; None if there is no configuration."""
        ...

    async def apply_trust(self, bundle: bytes, live: LiveTrust) -> LiveTrust:
        """Sets the `caBundle` of each entry by server-side apply, and nothing else.

        Raises:
            ConflictError: The configuration is not `live` any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class Lease:
    """Who leads; times are for people, nobody computes with another machine's clock."""

    holder: str
    duration_seconds: int
    acquired_at: datetime
    renewed_at: datetime
    transitions: int


@dataclass(frozen=True, slots=True)
class StoredLease:
    """A Lease as it was read; without a holder anybody may take it."""

    lease: Lease | None
    resource_version: str


class LeaseStore(Protocol):
    """One Lease."""

    async def read_lease(self) -> StoredLease | None:
        """The Lease as it is now; None if there is none."""
        ...

    async def write_lease(self, lease: Lease | None, stored: StoredLease | None) -> StoredLease:
        """Replaces the Lease as it was read, or creates it if there was none; without a holder anybody may take it.

        Raises:
            ConflictError: It is another one by now.
        """
        ...
