"""Which checks there are, each with the probe that brings its facts."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from floe_monitor.checks.availability import AvailabilityCheck, AvailabilityFacts
from floe_monitor.checks.freshness import FreshnessCheck, FreshnessFacts
from floe_monitor.checks.model import Check
from floe_monitor.checks.quality import QualityCheckOfContract, QualityFacts
from floe_monitor.checks.schema_drift import SchemaDriftCheck, SchemaFacts
from floe_monitor.contracts.model import Contract
from floe_monitor.probes.availability import ping
from floe_monitor.probes.freshness import observe_freshness
from floe_monitor.probes.quality import observe_quality
from floe_monitor.probes.schema import observe_schema
from floe_monitor.probes.source import Source
from floe_monitor.service.memory import Memory


@dataclass(frozen=True, slots=True)
class Target:
    """One (contract, check) on its source, with what is kept in mind of it.

    Attributes:
        fence: Of the lease under which it is watched; None where there are no leases.
    """

    contract: Contract
    source: Source
    memory: Memory
    interval: timedelta
    fence: int | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """A check and how its facts are observed."""

    check: Check[Any]
    observe: Callable[[Target], Awaitable[Any]]


async def _freshness(target: Target) -> FreshnessFacts:
    return await observe_freshness(target.contract, target.source)


async def _quality(target: Target) -> QualityFacts:
    return await observe_quality(target.contract, target.source)


async def _availability(target: Target) -> AvailabilityFacts:
    answer = await ping(target.source)
    holds = holds_for(target.interval)
    target.memory.uptime = target.memory.uptime.with_ping(answer, holds_for=holds)
    return AvailabilityFacts(answer, target.memory.uptime, holds)


async def _schema(target: Target) -> SchemaFacts:
    return await observe_schema(target.contract, target.source, target.memory.field_ids)


def holds_for(interval: timedelta) -> timedelta:
    """How long an observation stands for the time after it: one missed tick is bridged, not two."""
    return interval * 2.5


WATCHES: tuple[Watch, ...] = (
    Watch(FreshnessCheck(), _freshness),
    Watch(AvailabilityCheck(), _availability),
    Watch(SchemaDriftCheck(), _schema),
    Watch(QualityCheckOfContract(), _quality),
)
