"""The alert channel that posts CloudEvents.

The address is a credential (whoever knows it can post): it is never logged, never part of an error, and redirects are
not followed, so that it is sent to nobody else. Requests go through httpx's transport: its client logs addresses.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import urlsplit

import httpx
import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from floe_alert_webhook.cloudevent import Mode, http_message
from floe_core.plugin_interfaces.alert_channel import AlertChannelPlugin, ContractViolationEvent
from floe_core.plugin_interfaces.metadata import HealthState, HealthStatus
from floe_core.redaction import remember_secret

_log = structlog.get_logger(__name__)
# CloudEvents, HTTP 1.1 Web Hooks §2: what a receiver answers when it has taken the event.
_TAKEN = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})
_LONGEST_PAUSE_SECONDS = 3600.0


class WebhookAlertConfig(BaseModel):
    """`config:` of the channel in the manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: SecretStr = Field(description="Where events are posted; a credential, e.g. ${env:ALERT_WEBHOOK_URL}")
    mode: Mode = Field(default="structured", description="CloudEvents content mode")
    timeout: float = Field(default=10.0, gt=0, le=60, description="Seconds for one delivery")


class WebhookAlertPlugin(AlertChannelPlugin):
    """Posts each alert once as a CloudEvent; asked to wait (429, 503 with Retry-After), it sends nothing until then."""

    name = "webhook"
    version = "0.1.0"
    description = "CloudEvents 1.0 over HTTP"
    config_schema: ClassVar[type[BaseModel] | None] = WebhookAlertConfig
    config: WebhookAlertConfig | None

    def __init__(self, config: BaseModel | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(config)
        self._clock = clock
        self._paused_until = 0.0
        self._is_gone = False
        if self.config is not None:
            remember_secret(self.config.url.get_secret_value())

    async def send_alert(self, event: ContractViolationEvent) -> bool:
        """One attempt; see `AlertChannelPlugin.send_alert`."""
        if (reason := self._reason_not_to_send()) is not None or self.config is None:
            _log.warning("alert.not_sent", channel=self.name, event_id=event.id, reason=reason)
            return False
        headers, body = http_message(event, self.config.mode)
        try:
            async with asyncio.timeout(self.config.timeout):  # httpx bounds each step, not the whole
                response = await _post(self.config, headers, body)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            # The exception's text may hold the address; its type says enough.
            _log.warning("alert.not_sent", channel=self.name, event_id=event.id, reason=type(error).__name__)
            return False
        return self._judge(event, response)

    def validate_config(self) -> list[str]:
        """Sentences about an address that cannot be posted to; without the address."""
        if self.config is None:
            return ["url is not set."]
        url = self.config.url.get_secret_value()
        try:
            parts = urlsplit(url)
            valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            valid = False
        return [] if valid else ["url is no http or https address."]

    def health_check(self, timeout_seconds: float = 5.0) -> HealthStatus:  # noqa: ARG002 - nothing is asked
        """By configuration and the last answer; nothing is posted to find out."""
        if problems := self.validate_config():
            return HealthStatus(state=HealthState.UNHEALTHY, message=" ".join(problems))
        if (reason := self._reason_not_to_send()) is not None:
            return HealthStatus(state=HealthState.DEGRADED, message=reason)
        return HealthStatus(state=HealthState.HEALTHY)

    def _reason_not_to_send(self) -> str | None:
        if problems := self.validate_config():
            return " ".join(problems)
        if self._is_gone:
            return "The receiver has said that it wants no more events (410)."
        if (rest := self._paused_until - self._clock()) > 0:
            return f"The receiver asked for a pause that lasts {rest:.0f} s more."
        return None

    def _judge(self, event: ContractViolationEvent, response: httpx.Response) -> bool:
        status = response.status_code
        if status in _TAKEN:
            return True
        if status == HTTPStatus.GONE:
            self._is_gone = True
        if (pause := retry_after(response.headers.get("Retry-After"), datetime.now(UTC))) is not None:
            self._paused_until = self._clock() + min(pause, _LONGEST_PAUSE_SECONDS)
        _log.warning("alert.not_sent", channel=self.name, event_id=event.id, reason=f"HTTP {status}")
        return False


async def _post(config: WebhookAlertConfig, headers: dict[str, str], body: bytes) -> httpx.Response:
    request = httpx.Request(
        "POST",
        config.url.get_secret_value(),
        headers=headers,
        content=body,
        extensions={"timeout": httpx.Timeout(config.timeout).as_dict()},
    )
    async with httpx.AsyncHTTPTransport() as transport:
        response = await transport.handle_async_request(request)
        await response.aclose()
        return response


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (RFC 9110 §10.2.3: a number or a date); None if it says nothing."""
    if value is None:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
