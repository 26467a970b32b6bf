"""What to do next with our own authority, as a value, and doing it to a state. Pure but for the keys' randomness.

CREATE ──▶ steady ──ISSUE──▶ steady                    a serving certificate is two thirds through
             │
             TRUST   the authority is two thirds through: make the next one, put it into ca.crt
             ▼
           waiting   until every API server trusts it; serving certificates are still signed by the old one
             │
             SIGN    the next one signs the serving certificate; the old one's key is dropped
             ▼
           overlap   until the last certificate of the old one has ended: no replica can serve one then
             │
             FORGET  the old one leaves ca.crt
             ▼
           steady
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509

from floe_certs.authority import BACKDATING, Certificate, create_authority, issue_serving_certificate
from floe_certs.inspection import names_of
from floe_certs.settings import CertificateSettings
from floe_certs.state import State

AUTHORITY_NAME = "floe-injector webhook"


class Step(StrEnum):
    """What may be done; a bounded set, fit for a metric's label."""

    NOTHING = "nothing"
    CREATE = "create"
    ISSUE = "issue"
    TRUST = "trust"
    SIGN = "sign"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Plan:
    """The next step, and why in a few words.

    Attributes:
        due: For `NOTHING`: when there will be something to do, as far as time alone decides.
    """

    step: Step
    reason: str
    due: datetime | None = None


def plan(state: State | None, settings: CertificateSettings, *, now: datetime, settled: Collection[bytes] = ()) -> Plan:
    """The next step for a state; the first that applies.

    | step   | when                                                                                     |
    |--------|------------------------------------------------------------------------------------------|
    | SIGN   | the next authority has settled in every `caBundle`                                       |
    | CREATE | there is no state, or no authority in it is valid now                                    |
    | TRUST  | the authority is two thirds through or its key is gone, and there is no next one yet     |
    | ISSUE  | the serving certificate is two thirds through, lacks a name, or begins in the future       |
    | FORGET | the last certificate of the retired authorities has ended                                  |

    Args:
        state: What the shared Secret holds.
        settings: Lifetimes and names.
        now: The current time, aware.
        settled: Authorities, as PEM, that every API server trusts by now.
    """
    if state is None:
        return Plan(Step.CREATE, "the Secret holds no certificate")
    facts = _Facts(state, settings, now, settled)
    for step, reason_of in _RULES:
        if (reason := reason_of(facts)) is not None:
            return Plan(step, reason)
    return Plan(Step.NOTHING, "everything lasts", _next_due(state, settings))


def carry_out(
    step: Step,
    state: State | None,
    settings: CertificateSettings,
    *,
    now: datetime,
    inherited: tuple[bytes, ...] = (),
) -> State:
    """The state after a step that `plan` gave for it.

    Args:
        step: Anything but `NOTHING`.
        state: The state before; not looked at for `CREATE`.
        settings: Lifetimes and names.
        now: The current time, aware.
        inherited: For `CREATE`: what clients trust already, as PEM. Another replica may serve a certificate of one of
            them, so they stay trusted for as long as the first certificate of the new authority lasts.
    """
    if step is Step.CREATE or state is None:
        authority = _authority(settings, now)
        serving = _issue(authority, settings, now)
        last = serving.certificate_pem if inherited else None
        return State(serving=serving, signing=authority, retired=inherited, last_of_retired=last)
    if step is Step.TRUST:
        return replace(state, next=_authority(settings, now))
    if step is Step.SIGN and state.next is not None:
        old = () if state.signing is None else (state.signing.certificate_pem,)
        candidates = [state.serving.certificate_pem, state.last_of_retired]
        return State(
            serving=_issue(state.next, settings, now),
            signing=state.next,
            retired=(*old, *state.retired),
            last_of_retired=max((one for one in candidates if one is not None), key=_ends_at),
        )
    if step is Step.ISSUE and state.signing is not None:
        last = state.last_of_retired or (state.serving.certificate_pem if state.retired else None)
        return replace(state, serving=_issue(state.signing, settings, now), last_of_retired=last)
    if step is Step.FORGET:
        return replace(state, retired=(), last_of_retired=None)
    raise ValueError(f"step {step} cannot be done to this state; ask plan() for the next one")


@dataclass(frozen=True, slots=True)
class _Facts:
    state: State
    settings: CertificateSettings
    now: datetime
    settled: Collection[bytes]

    def lives(self, authority: Certificate | None) -> bool:
        return authority is not None and _lives(authority.certificate_pem, self.now)


def _sign_reason(facts: _Facts) -> str | None:
    following = facts.state.next
    if following is None or not facts.lives(following) or following.certificate_pem not in facts.settled:
        return None
    return "every API server trusts the next authority"


def _create_reason(facts: _Facts) -> str | None:
    return None if any(_lives(pem, facts.now) for pem in facts.state.trusted) else "no authority is valid now"


def _trust_reason(facts: _Facts) -> str | None:
    signing = facts.state.signing
    if facts.lives(facts.state.next):
        return None
    if signing is None:
        return "the authority's key is gone"
    if not facts.lives(signing):
        return "the authority is not valid now"
    if facts.now < _renewal(signing.certificate_pem, facts.settings.authority_lifetime):
        return None
    return "the authority is two thirds through its lifetime"


def _issue_reason(facts: _Facts) -> str | None:
    if not facts.lives(facts.state.signing):
        return None
    pem = facts.state.serving.certificate_pem
    certificate = x509.load_pem_x509_certificate(pem)
    if facts.now >= _renewal(pem, facts.settings.serving_lifetime):
        return "the serving certificate is two thirds through its lifetime"
    if certificate.not_valid_before_utc > facts.now:
        return "the serving certificate begins in the future: the clock was changed"
    missing = {*map(str.lower, facts.settings.names)} - {*map(str.lower, names_of(certificate))}
    return f"the serving certificate lacks {', '.join(sorted(missing))}" if missing else None


def _forget_reason(facts: _Facts) -> str | None:
    last = facts.state.last_of_retired or facts.state.serving.certificate_pem
    if not facts.state.retired or _ends_at(last) > facts.now:
        return None
    return "the last certificate of the retired authority has ended"


_RULES: tuple[tuple[Step, Callable[[_Facts], str | None]], ...] = (
    (Step.SIGN, _sign_reason),
    (Step.CREATE, _create_reason),
    (Step.TRUST, _trust_reason),
    (Step.ISSUE, _issue_reason),
    (Step.FORGET, _forget_reason),
)


def _next_due(state: State, settings: CertificateSettings) -> datetime:
    due = [_renewal(state.serving.certificate_pem, settings.serving_lifetime)]
    if state.signing is not None:
        due.append(_renewal(state.signing.certificate_pem, settings.authority_lifetime))
    if state.retired:
        due.append(_ends_at(state.last_of_retired or state.serving.certificate_pem))
    return min(due)


def _renewal(pem: bytes, lifetime: timedelta) -> datetime:
    """Two thirds through: of its own lifetime, or of the one that is set now if that is shorter."""
    certificate = x509.load_pem_x509_certificate(pem)
    issued = certificate.not_valid_before_utc + BACKDATING
    return issued + min(lifetime, certificate.not_valid_after_utc - issued) * 2 / 3


def _lives(pem: bytes, now: datetime) -> bool:
    certificate = x509.load_pem_x509_certificate(pem)
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def _ends_at(pem: bytes) -> datetime:
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc


def _authority(settings: CertificateSettings, now: datetime) -> Certificate:
    return create_authority(AUTHORITY_NAME, now=now, lifetime=settings.authority_lifetime)


def _issue(authority: Certificate, settings: CertificateSettings, now: datetime) -> Certificate:
    return issue_serving_certificate(
        authority,
        dns_names=settings.dns_names,
        ip_addresses=settings.ip_addresses,
        now=now,
        lifetime=settings.serving_lifetime,
    )
