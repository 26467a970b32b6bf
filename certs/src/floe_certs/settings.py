"""What a platform team sets about certificates: where they come from, whose names they bear, how long they last."""

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from floe_certs.authority import AUTHORITY_LIFETIME, SERVING_LIFETIME, IpAddress


class Source(StrEnum):
    """Who makes the serving certificate; a Secret carries it to every replica in each case."""

    OWN = "own"
    """An authority of our own, kept in the Secret."""
    CERT_MANAGER = "cert-manager"
    """cert-manager writes the Secret."""
    SECRET = "secret"  # noqa: S105 - a setting's value, no password
    """Somebody else writes the Secret."""


@dataclass(frozen=True, slots=True)
class CertificateSettings:
    """Settings of one installation; every replica has the same.

    Attributes:
        names: DNS names and IP addresses of the server. The first is the one that the API server asks for,
            `<service>.<namespace>.svc`.
        source: Who makes the serving certificate.
        serving_lifetime: Of a serving certificate of our own.
        authority_lifetime: Of an authority of our own.
        settle: How long every API server may need until a changed `caBundle` is in force. A new certificate is not
            served before its authority has been in the bundle that long.
        poll: How often a replica looks at the Secret and at the webhook configuration.

    Raises:
        ValueError: The settings cannot work together.
    """

    names: tuple[str, ...]
    source: Source = Source.OWN
    serving_lifetime: timedelta = SERVING_LIFETIME
    authority_lifetime: timedelta = AUTHORITY_LIFETIME
    settle: timedelta = timedelta(seconds=30)
    poll: timedelta = timedelta(seconds=5)

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("names: give at least the name that the API server asks for, <service>.<namespace>.svc")
        if self.poll <= timedelta(0) or self.settle < timedelta(0):
            raise ValueError("poll has to be longer than 0 s and settle not shorter")
        # The last third of a lifetime is the time for renewing: trust has to settle and every replica to look in it.
        needed = 3 * (self.settle + 4 * self.poll)
        if self.serving_lifetime < needed:
            raise ValueError(
                f"serving_lifetime {self.serving_lifetime} is too short for settle {self.settle} and poll {self.poll}: "
                f"set at least {needed}"
            )
        if self.authority_lifetime < self.serving_lifetime:
            raise ValueError(
                f"authority_lifetime {self.authority_lifetime} is shorter than serving_lifetime {self.serving_lifetime}"
            )

    @property
    def server_name(self) -> str:
        """The name that the API server asks for."""
        return self.names[0]

    @property
    def dns_names(self) -> tuple[str, ...]:
        """Those of the names that are no addresses."""
        return tuple(name for name in self.names if _address(name) is None)

    @property
    def ip_addresses(self) -> tuple[IpAddress, ...]:
        """Those of the names that are addresses."""
        return tuple(address for name in self.names if (address := _address(name)) is not None)


def _address(name: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
