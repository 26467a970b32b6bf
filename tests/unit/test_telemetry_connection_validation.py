"""`validate_connection` of the telemetry plugins on real sockets: every way to fail is False and a reason in the log.

The stand-ins answer as the vendors document: Datadog's `GET /api/v1/validate` with `dd-api-key` (403 for a wrong key),
Grafana Cloud's gateway with Basic authentication under `/otlp` (401 for a wrong token, 404 elsewhere).
"""

import base64
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from structlog.testing import capture_logs

from floe_core.plugin_interfaces.connection import TIMEOUT_SECONDS
from floe_core.plugin_interfaces.telemetry import TelemetryBackendPlugin
from floe_core.testing.loopback import closed_port
from floe_telemetry_datadog import DatadogTelemetryPlugin
from floe_telemetry_grafana import GrafanaCloudTelemetryPlugin
from floe_telemetry_jaeger import JaegerTelemetryPlugin

pytestmark = pytest.mark.requirement("REQ-054")

KEY = "right-key-that-stays-hidden"
WRONG_KEY = "wrong-key-that-stays-hidden"
INSTANCE_ID = "123456"
SHORT_SECONDS = 0.4
UNKNOWN_HOST = "no-such-host.invalid"


@dataclass(frozen=True, slots=True)
class Request:
    """What a stand-in was asked."""

    method: str
    path: str
    body: bytes
    content_type: str | None


@dataclass(frozen=True, slots=True)
class Vendor:
    """A SaaS and the plugin for it."""

    plugin: Callable[[str], TelemetryBackendPlugin]
    """Given a base URL in place of the vendor's hosts."""
    answer: Callable[[BaseHTTPRequestHandler], int]
    """The documented status."""
    call: Request
    """The documented call."""
    key_variable: str
    variables: tuple[str, ...]


def _datadog(url: str) -> TelemetryBackendPlugin:
    return DatadogTelemetryPlugin.from_mapping({"endpoint": url, "api_endpoint": url})


def _datadog_answers(request: BaseHTTPRequestHandler) -> int:
    if request.path != "/api/v1/validate":
        return 404
    return 200 if request.headers["dd-api-key"] == KEY else 403


def _grafana(url: str) -> TelemetryBackendPlugin:
    return GrafanaCloudTelemetryPlugin.from_mapping({"endpoint": f"{url}/otlp"})


def _grafana_answers(request: BaseHTTPRequestHandler) -> int:
    if request.path != "/otlp/v1/traces":
        return 404
    expected = base64.b64encode(f"{INSTANCE_ID}:{KEY}".encode()).decode()
    return 200 if request.headers["authorization"] == f"Basic {expected}" else 401


VENDORS = [
    pytest.param(
        Vendor(
            plugin=_datadog,
            answer=_datadog_answers,
            call=Request("GET", "/api/v1/validate", b"", None),
            key_variable="DD_API_KEY",
            variables=("DD_API_KEY",),
        ),
        id="datadog",
    ),
    pytest.param(
        Vendor(
            plugin=_grafana,
            answer=_grafana_answers,
            call=Request("POST", "/otlp/v1/traces", b"", "application/x-protobuf"),
            key_variable="GRAFANA_CLOUD_API_KEY",
            variables=("GRAFANA_CLOUD_INSTANCE_ID", "GRAFANA_CLOUD_API_KEY"),
        ),
        id="grafana-cloud",
    ),
]
each_vendor = pytest.mark.parametrize("vendor", VENDORS)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The right credentials, and no proxy of the machine's."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("DD_API_KEY", KEY)
    monkeypatch.setenv("GRAFANA_CLOUD_INSTANCE_ID", INSTANCE_ID)
    monkeypatch.setenv("GRAFANA_CLOUD_API_KEY", KEY)


@contextmanager
def stand_in(
    answer: Callable[[BaseHTTPRequestHandler], int], tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, list[Request]]]:
    """A vendor on the loopback address: its base URL, and what it was asked."""
    asked: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"] or 0))
            asked.append(Request(self.command, self.path, body, self.headers["content-type"]))
            self.send_response(answer(self))
            self.send_header("content-length", str(len(KEY)))
            self.end_headers()
            self.wfile.write(KEY.encode())  # some backends echo what they were sent

        def do_GET(self) -> None:
            self._reply()

        def do_POST(self) -> None:
            self._reply()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join(timeout=5)


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listener:
        yield listener.getsockname()[1]


@contextmanager
def black_hole() -> Iterator[int]:
    """A port whose queue is full: Linux leaves further connection attempts without an answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as waiting:
        port = listener.getsockname()[1]
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        yield port


def serving_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def validated(plugin: TelemetryBackendPlugin) -> tuple[bool, str]:
    """The verdict, and the reason that was logged."""
    with capture_logs() as lines:
        reached = plugin.validate_connection(plugin.get_otlp_exporter_config("production"))
    return reached, " ".join(_reason(line, plugin.name) for line in lines)


def _reason(line: Any, plugin: str) -> str:
    assert (line["event"], line["plugin"], line["log_level"]) == ("backend_not_reachable", plugin, "warning")
    return str(line["reason"])


def hurried(plugin: TelemetryBackendPlugin, monkeypatch: pytest.MonkeyPatch) -> TelemetryBackendPlugin:
    monkeypatch.setattr(plugin, "probe_timeout_seconds", SHORT_SECONDS)
    return plugin


def jaeger(endpoint: str) -> JaegerTelemetryPlugin:
    return JaegerTelemetryPlugin.from_mapping({"endpoint": endpoint})


@each_vendor
def test_accepted_credentials_are_true_after_the_documented_call(vendor: Vendor) -> None:
    with stand_in(vendor.answer) as (url, asked):
        assert validated(vendor.plugin(url)) == (True, "")

    assert asked[0] == vendor.call


@each_vendor
def test_a_wrong_key_is_false_and_said_without_it(vendor: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(vendor.key_variable, WRONG_KEY)

    with stand_in(vendor.answer) as (url, _):
        reached, reason = validated(vendor.plugin(url))

    assert not reached
    assert reason.startswith("the backend refuses the credential (HTTP 40")


@each_vendor
def test_a_refused_connection_is_false(vendor: Vendor) -> None:
    port = closed_port()

    assert validated(vendor.plugin(f"http://127.0.0.1:{port}")) == (False, "127.0.0.1 refuses connections")


@each_vendor
def test_a_backend_that_never_answers_is_false_within_the_bound(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with silent_port() as port:
        plugin = hurried(vendor.plugin(f"http://127.0.0.1:{port}"), monkeypatch)
        started = time.monotonic()
        reached, reason = validated(plugin)

    assert not reached
    assert "127.0.0.1 did not answer" in reason
    assert time.monotonic() - started < SHORT_SECONDS + 2


@each_vendor
def test_a_certificate_of_an_unknown_authority_is_false(vendor: Vendor) -> None:
    with stand_in(vendor.answer, serving_tls(trustme.CA())) as (url, asked):
        reached, reason = validated(vendor.plugin(url))

    assert not reached
    assert reason.startswith("no trusted TLS connection to 127.0.0.1")
    assert asked == []


@each_vendor
def test_a_private_authority_is_trusted_when_the_process_is_told_of_it(
    vendor: Vendor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))

    with stand_in(vendor.answer, serving_tls(authority)) as (url, _):
        assert validated(vendor.plugin(url)) == (True, "")


@each_vendor
def test_an_unknown_name_is_false(vendor: Vendor) -> None:
    reached, reason = validated(vendor.plugin(f"https://{UNKNOWN_HOST}"))

    assert (reached, reason) == (False, f"the name {UNKNOWN_HOST} is not known (DNS)")


@each_vendor
def test_each_missing_variable_is_false_and_named_before_anything_is_sent(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in vendor.variables:
        with monkeypatch.context() as without, stand_in(vendor.answer) as (url, asked):
            without.delenv(name)
            reached, reason = validated(vendor.plugin(url))

        assert not reached
        assert f"The credential {name} is not set." in reason
        assert asked == []


@each_vendor
def test_a_backend_that_fails_is_false(vendor: Vendor) -> None:
    with stand_in(lambda _: 503) as (url, _):
        assert validated(vendor.plugin(url)) == (False, "the backend answers HTTP 503; check the address")


@each_vendor
@pytest.mark.requirement("HOUSE-7")
@pytest.mark.parametrize("status", [200, 401, 403, 500])
def test_no_credential_is_printed_whatever_the_answer(
    vendor: Vendor, status: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"), stand_in(lambda _: status) as (url, _):
        plugin = vendor.plugin(url)
        reached = plugin.validate_connection(plugin.get_otlp_exporter_config("production"))

    printed = capfd.readouterr()
    assert reached is (status == 200)
    assert KEY not in printed.out + printed.err + caplog.text


def test_a_valid_key_is_not_enough_when_datadogs_intake_cannot_be_reached() -> None:
    with stand_in(_datadog_answers) as (url, _):
        config = {"api_endpoint": url, "endpoint": f"http://127.0.0.1:{closed_port()}"}
        assert validated(DatadogTelemetryPlugin.from_mapping(config)) == (False, "127.0.0.1 refuses connections")


def test_datadogs_two_calls_together_keep_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    with stand_in(_datadog_answers) as (url, _), silent_port() as port:
        config = {"api_endpoint": url, "endpoint": f"http://127.0.0.1:{port}"}
        plugin = hurried(DatadogTelemetryPlugin.from_mapping(config), monkeypatch)
        started = time.monotonic()
        reached, _ = validated(plugin)

    assert not reached
    assert time.monotonic() - started < SHORT_SECONDS + 2


def test_a_gateway_without_its_path_is_false_and_said_to_be_a_wrong_address() -> None:
    with stand_in(_grafana_answers) as (url, _):
        plugin = GrafanaCloudTelemetryPlugin.from_mapping({"endpoint": url})
        assert validated(plugin) == (False, "the backend answers HTTP 404; check the address")


def test_an_open_port_is_enough_for_jaeger() -> None:
    with silent_port() as port:
        assert validated(jaeger(f"127.0.0.1:{port}")) == (True, "")


def test_jaegers_closed_port_is_false() -> None:
    port = closed_port()

    assert validated(jaeger(f"127.0.0.1:{port}")) == (False, f"127.0.0.1:{port} refuses connections")


def test_jaegers_unknown_name_is_false() -> None:
    reached, reason = validated(jaeger(f"{UNKNOWN_HOST}:4317"))

    assert (reached, reason) == (False, f"the name {UNKNOWN_HOST}:4317 is not known (DNS)")


def test_jaeger_in_a_black_hole_is_false_within_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    with black_hole() as port:
        plugin = hurried(jaeger(f"127.0.0.1:{port}"), monkeypatch)
        started = time.monotonic()
        reached, reason = validated(plugin)

    assert not reached
    assert "did not answer" in reason
    assert time.monotonic() - started < SHORT_SECONDS + 2


@pytest.mark.parametrize("plugin", [JaegerTelemetryPlugin, DatadogTelemetryPlugin, GrafanaCloudTelemetryPlugin])
def test_the_bound_is_the_requirements(
    plugin: type[JaegerTelemetryPlugin | DatadogTelemetryPlugin | GrafanaCloudTelemetryPlugin],
) -> None:
    assert plugin.probe_timeout_seconds == TIMEOUT_SECONDS == 10.0
