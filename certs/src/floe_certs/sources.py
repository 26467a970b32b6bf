"""Follows the shared Secret: our own, which the leader also writes, or one that somebody else fills.

Whatever happens to the Secret, the last good certificates stay in force; what is wrong is told once for each change.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from floe_certs.api import SecretStore, StoredSecret
from floe_certs.defects import Defect, DefectiveSecretError, Finding
from floe_certs.events import Observer, Repair
from floe_certs.inspection import Material, inspect
from floe_certs.planning import Step, carry_out, plan
from floe_certs.settings import CertificateSettings, Source
from floe_certs.state import State, read_state


class Followed(Protocol):
    """Where the certificates of all replicas come from."""

    async def follow(self, *, leads: bool, settled: Collection[bytes], present: tuple[bytes, ...]) -> Material | None:
        """The newest usable certificates; None if there never were any.

        Args:
            leads: Whether this replica may write.
            settled: Authorities, as PEM, that every API server trusts by now.
            present: Authorities, as PEM, that stand in every `caBundle`.

        Raises:
            ConflictError: Somebody else has written meanwhile: look at everything again.
            UnreachableError: The API server does not answer.
            RefusedError: The API server refuses.
        """
        ...


def followed(
    secrets: SecretStore, settings: CertificateSettings, observer: Observer, now: Callable[[], datetime]
) -> Followed:
    """What the setting `source` stands for."""
    if settings.source is Source.OWN:
        return OwnSecret(secrets, settings, observer, now)
    return BroughtSecret(secrets, settings, observer, now)


@dataclass(slots=True)
class _Complaints:
    """Tells findings when they change."""

    observer: Observer
    _last: tuple[Finding, ...] = ()

    def tell(self, findings: tuple[Finding, ...]) -> None:
        if findings != self._last:
            for finding in findings:
                self.observer.failed(finding.defect, finding.sentence)
        self._last = findings


class OwnSecret:
    """The Secret of our own authority: followers read it, the leader takes the steps that `planning` gives."""

    def __init__(
        self, secrets: SecretStore, settings: CertificateSettings, observer: Observer, now: Callable[[], datetime]
    ) -> None:
        self._secrets = secrets
        self._settings = settings
        self._observer = observer
        self._now = now
        self._read: tuple[str, State | None] = ("", None)
        self._last_good: State | None = None

    async def follow(self, *, leads: bool, settled: Collection[bytes], present: tuple[bytes, ...]) -> Material | None:
        """See `Followed`."""
        stored = await self._secrets.read_secret()
        state = self._understood(stored)
        if leads:
            if state is None and self._last_good is not None:
                # Deleted or damaged: what we remember is put back, so that no client has to trust anything new.
                state = self._last_good
                stored = await self._secrets.write_secret(state.data(), stored)
                self._observer.repaired(Repair.SECRET)
            state = await self._advance(state, stored, settled, present)
        if state is not None:
            self._last_good = state
        return None if self._last_good is None else self._last_good.material

    def _understood(self, stored: StoredSecret | None) -> State | None:
        if stored is None:
            return None
        if stored.resource_version != self._read[0]:
            try:
                self._read = (stored.resource_version, read_state(stored.data))
            except DefectiveSecretError as error:
                self._read = (stored.resource_version, None)
                for finding in error.findings:
                    self._observer.failed(finding.defect, finding.sentence)
        return self._read[1]

    async def _advance(
        self,
        state: State | None,
        stored: StoredSecret | None,
        settled: Collection[bytes],
        present: tuple[bytes, ...],
    ) -> State | None:
        for _ in Step:  # each step is due once at most
            now = self._now()
            following = plan(state, self._settings, now=now, settled=settled)
            if following.step is Step.NOTHING:
                break
            state = carry_out(following.step, state, self._settings, now=now, inherited=present)
            stored = await self._secrets.write_secret(state.data(), stored)
            self._observer.stepped(following.step, following.reason)
        return state


@dataclass(slots=True)
class BroughtSecret:
    """A Secret that cert-manager or a user fills; nobody here writes it.

    An authority that leaves it stays trusted until the last certificate that was seen with it has ended: other replicas
    may still serve that one. A replica that starts afterwards knows nothing of it.
    """

    secrets: SecretStore
    settings: CertificateSettings
    observer: Observer
    now: Callable[[], datetime]
    _last_good: Material | None = None
    _earlier: list[Material] = field(default_factory=list)
    _complaints: _Complaints = field(init=False)

    def __post_init__(self) -> None:
        self._complaints = _Complaints(self.observer)

    async def follow(
        self,
        *,
        leads: bool,  # noqa: ARG002 - the protocol's: a leader has nothing to write here
        settled: Collection[bytes],  # noqa: ARG002 - the protocol's
        present: tuple[bytes, ...],  # noqa: ARG002 - the protocol's
    ) -> Material | None:
        """See `Followed`."""
        stored = await self.secrets.read_secret()
        now = self.now()
        try:
            found = _inspected(stored, self.settings, now)
        except DefectiveSecretError as error:
            self._complaints.tell(error.findings)
        else:
            self._complaints.tell(())
            if self._last_good is not None and self._last_good.trusted != found.trusted:
                self._earlier.append(self._last_good)
            self._last_good = found
        self._earlier = [one for one in self._earlier if one.ends_at > now]
        if self._last_good is None:
            return None
        overlap = [one for earlier in self._earlier for one in earlier.trusted]
        return Material(self._last_good.serving, tuple(dict.fromkeys([*self._last_good.trusted, *overlap])))


def _inspected(stored: StoredSecret | None, settings: CertificateSettings, now: datetime) -> Material:
    if stored is None:
        sentence = "There is no Secret with the serving certificate; create it, or set the source of certificates."
        raise DefectiveSecretError([Finding(Defect.SECRET_MISSING, sentence)])
    return inspect(stored.data, name=settings.server_name, now=now)
