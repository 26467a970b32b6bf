"""One replica's part in serving with certificates that change: a round now and then, the same for leader and followers.

    1. read the webhook configuration     what the API server trusts, and the version that step 5 is decided upon
    2. follow the Secret                  the leader first takes the steps that are due
    3. serve a new certificate            as soon as every API server trusts its authority, not before
    4. judge readiness                    a handshake with oneself against every entry's caBundle
    5. the leader: apply the caBundle     if it is not what the Secret asks for

The configuration is read before the Secret and written with the version that was read. So whoever writes it knows a
Secret at least as new as the one that the last writer knew: a leader that slept does not undo what the next one did.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cryptography import x509

from floe_certs.api import ConflictError, LiveTrust, RefusedError, SecretStore, TrustStore, UnreachableError
from floe_certs.events import Failure, Observer, Repair, Silence
from floe_certs.inspection import Material
from floe_certs.readiness import NOT_ASKED, Verdict, judge
from floe_certs.serving import ServingContext
from floe_certs.settings import CertificateSettings
from floe_certs.sources import followed
from floe_certs.trust import TrustHistory, bundle_of, may_serve

_ATTEMPTS = 5
"""How often a round begins anew because somebody else has written; the next round comes soon anyway."""


class Rotation:
    """Keeps one replica's certificate, and while it leads the Secret and the `caBundle` of all.

    Attributes:
        verdict: Whether the API server could call this replica, at the last look that was possible.
    """

    def __init__(
        self,
        settings: CertificateSettings,
        *,
        secrets: SecretStore,
        trust: TrustStore,
        serving: ServingContext,
        address: Callable[[], tuple[str, int]],
        leads: Callable[[], bool],
        observer: Observer | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """A replica that has not looked at anything yet.

        Args:
            settings: The same for every replica.
            secrets: The shared Secret.
            trust: The webhook configuration.
            serving: Of this replica's listener.
            address: Host and port under which this replica reaches its own listener.
            leads: Whether this replica leads, e.g. `Election.leads`.
            observer: Told what happens.
            now: The time that certificates are compared with.
            monotonic: Seconds that a change of the clock does not move.
        """
        self._settings = settings
        self._trust = trust
        self._serving = serving
        self._address = address
        self._leads = leads
        self._observer = Silence() if observer is None else observer
        self._now = now
        self._monotonic = monotonic
        self._followed = followed(secrets, settings, self._observer, now)
        self._history = TrustHistory()
        self._served: Material | None = None
        self._in_force: bytes | None = None
        self.verdict: Verdict = NOT_ASKED

    async def run(self) -> None:
        """Rounds until it is cancelled; more often while this replica is not ready."""
        while True:
            try:
                await self.round()
            except Exception as error:  # noqa: BLE001 - the edge of a loop that must not end
                self._observer.failed(Failure.INTERNAL, f"A round ended with {type(error).__name__}.")
            poll = self._settings.poll.total_seconds()
            await asyncio.sleep(poll if self.verdict.ready else poll / 5)

    async def round(self) -> None:
        """Looks at everything once, and does what is due."""
        for _ in range(_ATTEMPTS):
            try:
                await self._attempt()
            except ConflictError:
                continue
            except UnreachableError as error:  # the last verdict stays: else the API server's restart empties endpoints
                self._observer.failed(Failure.API_UNREACHABLE, f"The API server cannot be reached: {error}.")
            return
        self._observer.failed(Failure.CONFLICT, "Others wrote in between, again and again; the next round tries anew.")

    async def _attempt(self) -> None:
        live = None
        with self._refusals():
            live = await self._trust.read_trust()
            self._history.observe({} if live is None else live.bundles, self._monotonic())
        material = None
        with self._refusals():
            material = await self._followed.follow(
                leads=self._leads(), settled=self._settled(), present=self._history.present()
            )
        if material is not None:
            self._serve(material)
            if live is not None:
                with self._refusals():
                    await self._apply(material, live)
        self.verdict = await judge(self._history.bundles, self._address(), self._settings.server_name, now=self._now())

    def _settled(self) -> frozenset[bytes]:
        return self._history.settled(self._settings.settle.total_seconds())

    def _serve(self, material: Material) -> None:
        served = self._served
        if material == served:
            return
        if (served is None or material.serving != served.serving) and not may_serve(
            material,
            served,
            self._history,
            self._settled(),
            name=self._settings.server_name,
            now=self._now(),
        ):
            return
        if served is None or material.serving != served.serving:
            self._serving.serve(material.serving)
        self._served = material
        self._observer.serving(
            material.ends_at, x509.load_pem_x509_certificate(material.trusted[0]).not_valid_after_utc
        )

    async def _apply(self, material: Material, live: LiveTrust) -> None:
        wanted = bundle_of(material.trusted)
        if all(bundle == wanted for bundle in live.bundles.values()):
            self._in_force = wanted
            return
        if not self._leads():
            return
        applied = await self._trust.apply_trust(wanted, live)
        if wanted == self._in_force:
            self._observer.repaired(Repair.CA_BUNDLE)
        self._in_force = wanted
        self._history.observe(applied.bundles, self._monotonic())

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except RefusedError as error:
            told = f"The API server refuses: {error}; look at the rights of the service account."
            self._observer.failed(Failure.API_REFUSED, told)
