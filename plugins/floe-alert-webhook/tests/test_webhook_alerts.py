"""CloudEvents over HTTP, to a real receiver that reads them with the CloudEvents SDK."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from floe_alert_webhook import WebhookAlertConfig, WebhookAlertPlugin
from floe_alert_webhook.plugin import retry_after
from floe_core.logging import configure_logging
from floe_core.plugin_interfaces.alert_channel import (
    AlertKind,
    ContractViolationEvent,
    ViolationSeverity,
    ViolationType,
)
from floe_core.plugin_interfaces.metadata import HealthState
from floe_core.testing.base_classes import BaseAlertChannelPluginTests

pytestmark = pytest.mark.requirement("FR-031", "FR-032")
SECRET = "T0PSECRETPATH"
EVENT = ContractViolationEvent(
    id="912bad16-8ccc-589d-ac0c-cf3c7c05b1fb",
    kind=AlertKind.OPENED,
    contract_name="sales.shop/orders",
    contract_version="1.0.0",
    violation_type=ViolationType.FRESHNESS,
    severity=ViolationSeverity.ERROR,
    message="orders is stale: “late” by 1 %",
    element="orders.updated_at",
    expected_value="at most 2 h",
    actual_value="3 h",
    timestamp=datetime(2026, 3, 29, 12, tzinfo=UTC),
    affected_consumers=("dashboard",),
)


@dataclass
class Receiver:
    """Keeps what it is sent; answers as told."""

    url: str = ""
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def events(self) -> list[Any]:
        return [
            from_http_event(HTTPMessage({name.lower(): value for name, value in headers.items()}, body))
            for headers, body in self.received
        ]

    async def answer(self, request: web.Request) -> web.Response:
        self.received.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, headers=self.headers)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/{SECRET}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


def channel(receiver: Receiver, *, clock: Callable[[], float] | None = None, **config: Any) -> WebhookAlertPlugin:
    settings = WebhookAlertConfig.model_validate({"url": receiver.url, **config})
    return WebhookAlertPlugin(settings, clock=clock) if clock else WebhookAlertPlugin(settings)


class TestWebhookAlertPlugin(BaseAlertChannelPluginTests):
    """The suite that every alert channel inherits."""

    @pytest.fixture
    def plugin(self) -> WebhookAlertPlugin:
        # Port 9 (discard): nobody listens there.
        return WebhookAlertPlugin(WebhookAlertConfig.model_validate({"url": "http://127.0.0.1:9/alerts"}))


@pytest.mark.parametrize("mode", ["structured", "binary"])
async def test_the_sdk_reads_the_event_in_both_modes(receiver: Receiver, mode: str) -> None:
    assert await channel(receiver, mode=mode).send_alert(EVENT)
    [event] = receiver.events
    assert event.get_type() == "floe.contract.violation"
    assert event.get_source() == "floe-contract-monitor"
    assert event.get_specversion() == "1.0"
    assert event.get_id() == EVENT.id
    assert event.get_subject() == "sales.shop/orders:1.0.0"
    assert event.get_time() == EVENT.timestamp
    assert event.get_data() == {
        "contractName": "sales.shop/orders",
        "contractVersion": "1.0.0",
        "violationType": "freshness",
        "severity": "error",
        "kind": "opened",
        "message": "orders is stale: “late” by 1 %",
        "element": "orders.updated_at",
        "expectedValue": "at most 2 h",
        "actualValue": "3 h",
        "affectedConsumers": ["dashboard"],
        "checkDurationSeconds": 0.0,
        "metadata": {},
    }


async def test_structured_is_the_default_and_says_so(receiver: Receiver) -> None:
    await channel(receiver).send_alert(EVENT)
    headers, _ = receiver.received[0]
    assert headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"


async def test_binary_keeps_the_data_apart(receiver: Receiver) -> None:
    await channel(receiver, mode="binary").send_alert(EVENT)
    headers, body = receiver.received[0]
    assert headers["Content-Type"] == "application/json"
    assert "ce-datacontenttype" not in {name.lower() for name in headers}
    assert body.startswith(b"{")


async def test_the_id_stays_when_an_alert_is_sent_again(receiver: Receiver) -> None:
    plugin = channel(receiver)
    receiver.status = 500
    assert not await plugin.send_alert(EVENT)
    receiver.status = 200
    assert await plugin.send_alert(EVENT)
    assert [event.get_id() for event in receiver.events] == [EVENT.id, EVENT.id]


@pytest.mark.parametrize(
    ("status", "taken"), [(200, True), (201, True), (202, True), (204, True), (415, False), (503, False)]
)
async def test_the_answer_decides(receiver: Receiver, status: int, taken: bool) -> None:
    receiver.status = status
    assert await channel(receiver).send_alert(EVENT) is taken


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    async with receiving() as other:
        receiver.status = status
        receiver.headers = {"Location": other.url}
        assert not await channel(receiver).send_alert(EVENT)
        assert other.received == []


async def test_retry_after_is_honoured(receiver: Receiver) -> None:
    now = [100.0]
    plugin = channel(receiver, clock=lambda: now[0])
    receiver.status, receiver.headers = 429, {"Retry-After": "30"}
    assert not await plugin.send_alert(EVENT)
    receiver.status, receiver.headers = 200, {}
    now[0] += 29
    assert not await plugin.send_alert(EVENT)
    assert len(receiver.received) == 1, "nothing was sent during the pause"
    assert plugin.health_check().state is HealthState.DEGRADED
    now[0] += 2
    assert await plugin.send_alert(EVENT)


async def test_a_receiver_that_is_gone_is_asked_no_more(receiver: Receiver) -> None:
    plugin = channel(receiver)
    receiver.status = 410
    assert not await plugin.send_alert(EVENT)
    receiver.status = 200
    assert not await plugin.send_alert(EVENT)
    assert len(receiver.received) == 1


async def test_a_receiver_that_hangs_is_given_up_after_the_timeout() -> None:
    hung = asyncio.Event()

    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hung.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    plugin = channel(Receiver(f"http://127.0.0.1:{port}/x"), timeout=0.2)
    async with asyncio.timeout(5):
        assert not await plugin.send_alert(EVENT)
    hung.set()
    server.close()
    await server.wait_closed()


@pytest.mark.requirement("HOUSE-7", "CC-2.3")
async def test_the_address_stands_in_no_log_at_any_level(receiver: Receiver) -> None:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpcore")}
    written = io.StringIO()
    configure_logging("debug", "json", written)
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.DEBUG)
        await channel(receiver).send_alert(EVENT)
        receiver.status = 500
        await channel(receiver).send_alert(EVENT)
        unreachable = Receiver(f"http://127.0.0.1:9/{SECRET}")
        await channel(unreachable).send_alert(EVENT)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
    assert "alert.not_sent" in written.getvalue()
    assert SECRET not in written.getvalue()
    assert SECRET not in repr(channel(receiver).config)


@pytest.mark.parametrize("url", ["", "ftp://host/x", "http://", "https://:443/x", "http://host:99999/x", "/alerts"])
async def test_an_address_that_cannot_be_posted_to_is_told_without_showing_it(url: str) -> None:
    plugin = channel(Receiver(url))
    assert plugin.validate_config() == ["url is no http or https address."]
    assert not await plugin.send_alert(EVENT)
    assert plugin.health_check().state is HealthState.UNHEALTHY


async def test_a_channel_without_configuration_sends_nothing() -> None:
    assert not await WebhookAlertPlugin().send_alert(EVENT)


async def test_an_endless_message_is_cut(receiver: Receiver) -> None:
    await channel(receiver).send_alert(EVENT.model_copy(update={"message": "x" * 1_000_000}))
    assert len(receiver.received[0][1]) < 64 * 1024


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param(None, None, id="absent"),
        pytest.param("120", 120.0, id="seconds"),
        pytest.param("Sun, 29 Mar 2026 12:01:00 GMT", 60.0, id="a date"),
        pytest.param("Sun, 29 Mar 2026 11:00:00 GMT", 0.0, id="a date that has passed"),
        pytest.param("soon", None, id="nonsense"),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, EVENT.timestamp) == seconds
