"""A replica that ends hands over: first its duties end, then another replica may lead."""

import asyncio
from dataclasses import dataclass, field

import pytest

from floe_certs.api import Lease, StoredLease
from floe_certs.election import Election
from floe_webhook.metrics import Metrics
from floe_webhook.service import leading
from webhook.tests.waiting import until

pytestmark = pytest.mark.requirement("HOUSE-11")


@dataclass
class OneLease:
    """A Lease that nobody else wants."""

    happened: list[str]
    stored: StoredLease | None = None

    async def read_lease(self) -> StoredLease | None:
        return self.stored

    async def write_lease(self, lease: Lease | None, stored: StoredLease | None) -> StoredLease:
        assert stored == self.stored
        self.happened.append("leads" if lease else "lease given back")
        self.stored = StoredLease(lease, str(len(self.happened)))
        return self.stored


@dataclass
class Tidy:
    """A duty that has something to write down at its end."""

    happened: list[str]
    running: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(20):
                await asyncio.sleep(0)
            self.happened.append("duty ended")


async def test_the_lease_is_given_back_after_the_duties_have_ended() -> None:
    happened: list[str] = []
    election, duty = Election(OneLease(happened), "one"), Tidy(happened)
    async with leading(election, {"tidy": duty}, Metrics()):
        await until(duty.running.is_set, "running")
    assert happened == ["leads", "duty ended", "lease given back"]


async def test_without_an_election_no_duty_is_done() -> None:
    duty = Tidy([])
    async with leading(None, {"tidy": duty}, Metrics()):
        await asyncio.sleep(0)
    assert not duty.running.is_set()
