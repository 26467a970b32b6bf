"""Pairs, Secrets and settings with good defaults."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from floe_certs.authority import Certificate, create_authority, issue_serving_certificate
from floe_certs.defects import Defect
from floe_certs.events import Failure, Repair
from floe_certs.planning import Step
from floe_certs.settings import CertificateSettings

SERVER = "floe-webhook.floe.svc"
START = datetime(2030, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that moves when it is told to; the same seconds for people and for intervals."""

    def __init__(self, start: datetime = START) -> None:
        self.time = start

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()

    def pass_by(self, by: timedelta) -> None:
        self.time += by


class Noted:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.repairs: list[Repair] = []
        self.failures: list[Failure | Defect] = []
        self.sentences: list[str] = []
        self.served: list[tuple[datetime, datetime]] = []

    def stepped(self, step: Step, reason: str) -> None:
        assert reason
        self.steps.append(step)

    def serving(self, ends_at: datetime, authority_ends_at: datetime) -> None:
        self.served.append((ends_at, authority_ends_at))

    def repaired(self, repair: Repair) -> None:
        self.repairs.append(repair)

    def failed(self, reason: Failure | Defect, sentence: str) -> None:
        self.failures.append(reason)
        self.sentences.append(sentence)


def settings(**changes: Any) -> CertificateSettings:
    """Minutes instead of years: a serving certificate of 3 minutes, an authority of 9."""
    defaults: dict[str, Any] = {
        "names": (SERVER,),
        "serving_lifetime": timedelta(minutes=3),
        "authority_lifetime": timedelta(minutes=9),
        "settle": timedelta(seconds=10),
        "poll": timedelta(seconds=5),
    }
    return CertificateSettings(**{**defaults, **changes})


def brought(
    names: Sequence[str] = (SERVER,),
    *,
    now: datetime = START,
    lifetime: timedelta = timedelta(days=90),
    authority: Certificate | None = None,
) -> dict[str, bytes]:
    """A Secret as cert-manager fills it."""
    authority = authority or create_authority("a company's authority", now=now)
    serving = issue_serving_certificate(authority, dns_names=names, now=now, lifetime=lifetime)
    return {"tls.crt": serving.certificate_pem, "tls.key": serving.key_pem, "ca.crt": authority.certificate_pem}
