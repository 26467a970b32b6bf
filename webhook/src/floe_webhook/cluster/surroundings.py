"""What the cluster knows of a pod, found out before the pod is decided upon: what it needs, at once, within a budget.

    pod ──▶ what does it need? ──▶ kept answers ──▶ the rest, all at the same time, until the budget ends ──▶ decision

A pod that is not opted in asks nothing, nor does one that has nothing to ask for. What has no answer by then counts as
not known, and the decision says what it assumes.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

from floe_webhook.admission import Review
from floe_webhook.cluster import named_objects, owners_lookup, quota
from floe_webhook.cluster.api import KubernetesApi
from floe_webhook.cluster.kept_answers import KeptAnswers
from floe_webhook.cluster.named_objects import Named, Reference, Resource
from floe_webhook.cluster.owners_lookup import Direct
from floe_webhook.decision import Facts, Outcome, decide
from floe_webhook.injection import Injection, inject
from floe_webhook.lookup_metrics import LookupMetrics
from floe_webhook.lookups import Lookup, LookupSettings
from floe_webhook.namespace_limits import NamespaceLimits
from floe_webhook.owners import Owner
from floe_webhook.pod import INJECTED_LABEL, entries, text
from floe_webhook.profile import Profile
from floe_webhook.record import record_of
from floe_webhook.surroundings import NOTHING_KNOWN, Surroundings
from floe_webhook.variables import Variable

MOST_NAMESPACES, MOST_OBJECTS, MOST_OWNERS = 1_000, 2_000, 2_000
"""Answers that are kept at once; each has some hundred bytes, a Secret with many keys some thousand."""

MOST_SOURCES = 16
"""ConfigMaps and Secrets that one pod may have asked for; what is beyond stays unseen."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_REFERENCES = {"configMapRef": Resource.CONFIG_MAP, "secretRef": Resource.SECRET}


@dataclass(frozen=True, slots=True)
class Needs:
    """What one pod needs to know."""

    limits_of: str | None = None
    sources: Mapping[tuple[str, str], Reference] = field(default_factory=dict)
    credentials: Mapping[str, Reference] = field(default_factory=dict)
    owner: Direct | None = None

    def __bool__(self) -> bool:
        return bool(self.limits_of or self.sources or self.credentials or self.owner)


class ClusterSurroundings:
    """Finds out what the cluster knows."""

    def __init__(
        self,
        api: KubernetesApi,
        settings: LookupSettings,
        metrics: LookupMetrics,
        *,
        native_sidecars: Callable[[], bool],
        sidecar_starts: Callable[[str], bool],
        first_looks: Iterable[asyncio.Event] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is known yet.

        Args:
            api: Is asked.
            settings: What may be asked.
            metrics: Count what is asked.
            native_sidecars: Whether the cluster keeps them.
            sidecar_starts: Whether the sidecar's image starts in a namespace.
            first_looks: Set when the two have been looked at; the first pods wait for it, within their budget.
            monotonic: Seconds that a change of the clock does not move.
        """
        self._settings = settings
        self._native_sidecars = native_sidecars
        self._sidecar_starts = sidecar_starts
        self._first_looks = list(first_looks)
        budget = settings.budget_seconds
        kept = partial(
            KeptAnswers[Any, Any],
            counted=metrics.asked,
            unanswered_seconds=settings.unanswered_seconds,
            monotonic=monotonic,
        )
        self._limits: KeptAnswers[str, NamespaceLimits] = kept(
            Lookup.QUOTAS,
            partial(_with(quota.limits, api), timeout_seconds=budget),
            holds_seconds=self._limits_hold,
            most=MOST_NAMESPACES,
        )
        self._named: dict[Lookup, KeptAnswers[Reference, Named]] = {
            lookup: kept(
                lookup,
                partial(_with(named_objects.named, api), timeout_seconds=budget),
                holds_seconds=lambda _: settings.keys_seconds,
                most=MOST_OBJECTS,
            )
            for lookup in (Lookup.ENV_FROM, Lookup.SECRETS)
        }
        self._owners: KeptAnswers[Direct, Owner] = kept(
            Lookup.OWNERS,
            partial(_with(owners_lookup.confirmed, api), timeout_seconds=budget),
            holds_seconds=lambda _: settings.owners_seconds,
            most=MOST_OWNERS,
        )

    async def review(self, request: Review, profile: Profile, *, namespace_label: str | None) -> Injection:
        """Decides about the pod of a request and plans what follows, with what the cluster knows."""
        facts = Facts(request.pod, request.namespace, namespace_label)
        surroundings = await self.of(facts, profile)
        if surroundings is not NOTHING_KNOWN:
            facts = replace(facts, surroundings=surroundings)
        return inject(facts, profile)

    async def of(self, facts: Facts, profile: Profile) -> Surroundings:
        """What is known of a pod's surroundings by the end of the budget."""
        # Before the first look these are guesses, and what may be needed is asked for meanwhile: one budget for both.
        native, starts = self._native_sidecars(), self._sidecar_starts(facts.namespace)
        needs = needs_of(facts, profile, self._settings.enabled, with_sidecar=native and starts)
        await self._ask(needs)
        # Only against the sidecar: for one that was not thought of, no limits were asked for.
        native, starts = native and self._native_sidecars(), starts and self._sidecar_starts(facts.namespace)
        if not needs:
            return NOTHING_KNOWN if native and starts else Surroundings(native, starts)
        known = {
            source: answer.keys
            for source, reference in needs.sources.items()
            if (answer := self._named[Lookup.ENV_FROM].last(reference)) is not None and answer.exists
        }
        secrets = {
            name: answer.keys if answer.exists else None
            for name, reference in needs.credentials.items()
            if (answer := self._named[Lookup.SECRETS].last(reference)) is not None
        }
        limits = self._limits.last(needs.limits_of) if needs.limits_of else None
        return Surroundings(
            native_sidecars=native,
            sidecar_starts=starts,
            limits=limits,
            limits_unanswered=needs.limits_of is not None and limits is None,
            known_keys=known,
            secrets=secrets,
            owner=self._owners.last(needs.owner) if needs.owner else None,
        )

    async def _first_looks_over(self) -> None:
        """A replica that has just begun knows nothing yet, and its first pod is as dear as any other."""
        for looked in self._first_looks:
            await looked.wait()
        self._first_looks = []

    async def _ask(self, needs: Needs) -> None:
        """Asks for what is not kept; ends when all is known, or with the budget."""
        asked = [asyncio.ensure_future(one) for one in self._unknown(needs)]
        if not asked:
            return
        try:
            await asyncio.wait(asked, timeout=self._settings.budget_seconds)
        finally:
            for one in asked:
                one.cancel()
            ended = await asyncio.gather(*asked, return_exceptions=True)
        # What is no answer at all is kept as one by now; whatever else it is, the admission's edge tells it.
        for failure in ended:
            if isinstance(failure, Exception):
                raise failure

    def _unknown(self, needs: Needs) -> Iterator[Awaitable[Any]]:
        if self._first_looks:
            yield self._first_looks_over()
        if needs.limits_of is not None and self._limits.known(needs.limits_of) is None:
            yield self._limits.get(needs.limits_of)
        for lookup, references in ((Lookup.ENV_FROM, needs.sources), (Lookup.SECRETS, needs.credentials)):
            for reference in references.values():
                if self._named[lookup].known(reference) is None:
                    yield self._named[lookup].get(reference)
        if needs.owner is not None and self._owners.known(needs.owner) is None:
            yield self._owners.get(needs.owner)

    def _limits_hold(self, limits: NamespaceLimits) -> float:
        return self._settings.quotas_left_seconds if limits.quotas else self._settings.quotas_seconds


_OF_PODS = frozenset({Lookup.QUOTAS, Lookup.ENV_FROM, Lookup.SECRETS, Lookup.OWNERS})
_NOTHING = Needs()


def needs_of(facts: Facts, profile: Profile, enabled: frozenset[Lookup], *, with_sidecar: bool) -> Needs:
    """What has to be known of a pod; nothing of one that is not injected, or of a namespace that can be none."""
    if not enabled & _OF_PODS or not _NAME.fullmatch(facts.namespace):
        return _NOTHING
    # A pod that is looked at a second time carries what we added, and would be left alone for that.
    again = INJECTED_LABEL in facts.labels and record_of(facts.pod) is not None
    outcome = Outcome.FULL if again else decide(facts, profile.rules).outcome
    if outcome is Outcome.NONE:
        return _NOTHING
    namespace = facts.namespace
    return Needs(
        namespace if Lookup.QUOTAS in enabled and outcome is Outcome.FULL and with_sidecar else None,
        dict(_sources(facts)) if Lookup.ENV_FROM in enabled else {},
        {name: Reference(Resource.SECRET, namespace, name) for name in _secrets_of(profile)}
        if Lookup.SECRETS in enabled
        else {},
        _owner(facts) if Lookup.OWNERS in enabled else None,
    )


def _sources(facts: Facts) -> Iterator[tuple[tuple[str, str], Reference]]:
    found: dict[tuple[str, str], Reference] = {}
    for container in facts.containers:
        for source in entries(container.document, "envFrom"):
            for kind, resource in _REFERENCES.items():
                name = text(source, kind, "name")
                if _NAME.fullmatch(name) and len(found) < MOST_SOURCES:
                    found[kind, name] = Reference(resource, facts.namespace, name)
    yield from found.items()


def _owner(facts: Facts) -> Direct | None:
    direct = owners_lookup.unclear(facts.pod, facts.namespace)
    return direct if direct is not None and _NAME.fullmatch(direct.name) else None


@lru_cache(maxsize=4)
def _secrets_of(profile: Profile) -> frozenset[str]:
    """Names of the Secrets that a pod may be told to read."""
    variables: list[Variable] = []
    for telemetry in (profile.telemetry_with_sidecar, profile.telemetry_without_sidecar):
        variables += telemetry.variables if telemetry is not None else ()
    for lineage in (profile.lineage_with_sidecar, profile.lineage_without_sidecar):
        variables += (*lineage.credentials, *lineage.client) if lineage is not None else ()
    found = [variable.secret for variable in variables]
    if profile.sidecar is not None:
        found += profile.sidecar.delivery.files.values()
    return frozenset(credential.secret for credential in found if credential is not None)


def _with(ask: Callable[..., Awaitable[Any]], api: KubernetesApi) -> Callable[..., Awaitable[Any]]:
    return partial(ask, api)
