"""The outbox and its dispatchers, on a real PostgreSQL."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from floe_core.plugin_interfaces.alert_channel import AlertChannelPlugin, ContractViolationEvent
from floe_monitor.alerts.dispatcher import CLAIM_FOR, GIVE_UP_AFTER, Dispatcher, retry_delay
from floe_monitor.service.memory import Memory
from floe_monitor.store import outbox
from floe_monitor.store.results import record
from monitor.tests.builders import MINUTE, NOW, SECOND, FakeClock, check_run, contract, outcome, until

pytestmark = pytest.mark.requirement("FR-026", "FR-029", "HOUSE-11")


class Channel(AlertChannelPlugin):
    """A channel that remembers what it took; refuses as often as told, or raises."""

    name = "hook"
    version = "0.1.0"

    def __init__(self, *, refuse: int = 0, error: Exception | None = None) -> None:
        super().__init__()
        self.refuse = refuse
        self.error = error
        self.tried: list[ContractViolationEvent] = []
        self.taken: list[ContractViolationEvent] = []

    async def send_alert(self, event: ContractViolationEvent) -> bool:
        self.tried.append(event)
        await asyncio.sleep(0.001)
        if self.error is not None:
            raise self.error
        if self.refuse:
            self.refuse -= 1
            return False
        self.taken.append(event)
        return True

    def validate_config(self) -> list[str]:
        return []


class Counts:
    """Counts deliveries."""

    def __init__(self) -> None:
        self.sent_to: Counter[str] = Counter()
        self.failed_to: Counter[str] = Counter()
        self.waited: list[timedelta] = []

    def sent(self, channel: str, waited: timedelta) -> None:
        self.sent_to[channel] += 1
        self.waited.append(waited)

    def failed(self, channel: str) -> None:
        self.failed_to[channel] += 1


async def store_breaches(engine: AsyncEngine, count: int) -> None:
    await record(engine, [check_run(outcome("error"), of=contract(name=f"c{number}")) for number in range(count)])


async def test_two_dispatchers_never_send_an_alert_twice(engine: AsyncEngine) -> None:
    await store_breaches(engine, 60)
    channel = Channel()
    clock = FakeClock(NOW + SECOND)
    workers = [Dispatcher(engine, {"hook": channel}, Counts(), clock=clock) for _ in range(3)]
    tasks = [asyncio.create_task(worker.run()) for worker in workers]
    await until(lambda: len(channel.tried) >= 60)
    await until(lambda: _nothing_waits(engine))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(channel.taken) == 60
    assert len({event.id for event in channel.taken}) == 60


async def _nothing_waits(engine: AsyncEngine) -> bool:
    return await outbox.waiting(engine) == 0


async def test_a_claimed_alert_is_nobody_elses_until_the_claim_runs_out(engine: AsyncEngine) -> None:
    await store_breaches(engine, 1)
    first = await outbox.claim(engine, uuid4(), NOW, claim_for=CLAIM_FOR, limit=10)
    assert len(first) == 1
    assert await outbox.claim(engine, uuid4(), NOW + CLAIM_FOR, claim_for=CLAIM_FOR, limit=10) == ()
    # Its dispatcher was killed while it was sending: another one sends it again, under the same id.
    again = await outbox.claim(engine, uuid4(), NOW + CLAIM_FOR + SECOND, claim_for=CLAIM_FOR, limit=10)
    assert [alert.event.id for alert in again] == [first[0].event.id]
    assert again[0].attempts == 2


async def test_what_is_due_longest_is_sent_first_however_it_was_stored(engine: AsyncEngine) -> None:
    moments = [NOW + number * SECOND for number in range(20)]
    for at in reversed(moments):
        await record(engine, [check_run(outcome("error"), of=contract(name=f"c{at.second}"), at=at)])
    claimed = await outbox.claim(engine, uuid4(), NOW + MINUTE, claim_for=CLAIM_FOR, limit=100)
    assert [alert.created_at for alert in claimed] == moments


async def test_a_dispatcher_that_lost_its_claim_settles_nothing(engine: AsyncEngine) -> None:
    await store_breaches(engine, 1)
    slow, quick = uuid4(), uuid4()
    alert = (await outbox.claim(engine, slow, NOW, claim_for=SECOND, limit=1))[0]
    await outbox.claim(engine, quick, NOW + MINUTE, claim_for=MINUTE, limit=1)
    await outbox.mark_sent(engine, slow, alert.id, NOW)
    assert await outbox.waiting(engine) == 1


async def test_what_a_channel_refuses_is_sent_again_later_under_the_same_id(engine: AsyncEngine) -> None:
    await store_breaches(engine, 1)
    channel, counts, clock = Channel(refuse=2), Counts(), FakeClock()
    dispatcher = Dispatcher(engine, {"hook": channel}, counts, clock=clock)
    assert await dispatcher.deliver_once() == 1
    assert await dispatcher.deliver_once() == 0, "it is not due yet"
    clock.move(1 * SECOND)
    await dispatcher.deliver_once()
    clock.move(2 * SECOND)
    await dispatcher.deliver_once()
    assert len({event.id for event in channel.tried}) == 1
    assert (len(channel.tried), len(channel.taken)) == (3, 1)
    assert (counts.failed_to["hook"], counts.sent_to["hook"]) == (2, 1)
    assert counts.waited == [3 * SECOND]


async def test_a_channel_never_hears_of_the_end_before_the_beginning(engine: AsyncEngine) -> None:
    memory = Memory()
    await record(engine, [check_run(outcome("error"), memory=memory)])
    await record(engine, [check_run(outcome(), memory=memory, at=NOW + SECOND)])
    channel, clock = Channel(refuse=1), FakeClock(NOW + SECOND)
    dispatcher = Dispatcher(engine, {"hook": channel}, Counts(), clock=clock)
    await dispatcher.deliver_once()
    assert await dispatcher.deliver_once() == 0, "the end waits for the beginning"
    clock.move(MINUTE)
    await dispatcher.deliver_once()
    await dispatcher.deliver_once()
    assert [event.kind.value for event in channel.taken] == ["opened", "resolved"]


async def test_one_channel_that_refuses_does_not_hold_up_another(engine: AsyncEngine) -> None:
    await record(engine, [check_run(outcome("error"), channels=("bad", "good"))])
    bad, good, counts = Channel(error=RuntimeError("https://secret.example/T0")), Channel(), Counts()
    await Dispatcher(engine, {"bad": bad, "good": good}, counts, clock=FakeClock()).deliver_once()
    assert len(good.taken) == 1
    assert counts.failed_to == {"bad": 1}


async def test_an_alert_that_nobody_takes_for_a_day_is_given_up(engine: AsyncEngine) -> None:
    await store_breaches(engine, 1)
    clock = FakeClock(NOW + GIVE_UP_AFTER + SECOND)
    await Dispatcher(engine, {"hook": Channel(refuse=99)}, Counts(), clock=clock).deliver_once()
    assert await outbox.waiting(engine) == 0


async def test_an_alert_for_a_channel_that_is_gone_waits(engine: AsyncEngine) -> None:
    await store_breaches(engine, 1)
    counts = Counts()
    await Dispatcher(engine, {}, counts, clock=FakeClock()).deliver_once()
    assert await outbox.waiting(engine) == 1
    assert counts.failed_to == {"hook": 1}


async def test_stopping_ends_after_the_send_that_is_under_way(engine: AsyncEngine) -> None:
    await store_breaches(engine, 1)
    sending, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Channel):
        async def send_alert(self, event: ContractViolationEvent) -> bool:
            sending.set()
            await go_on.wait()
            return await super().send_alert(event)

    channel = Slow()
    dispatcher = Dispatcher(engine, {"hook": channel}, Counts(), clock=FakeClock())
    task = asyncio.create_task(dispatcher.run())
    await sending.wait()
    dispatcher.stop()
    go_on.set()
    await asyncio.wait_for(task, 20)
    assert len(channel.taken) == 1
    assert await outbox.waiting(engine) == 0


def test_retries_come_later_each_time_and_at_least_every_five_minutes() -> None:
    delays = [retry_delay(attempts).total_seconds() for attempts in range(1, 12)]
    assert delays[:4] == [1, 2, 4, 8]
    assert delays == sorted(delays)
    assert retry_delay(10_000) == 5 * MINUTE
