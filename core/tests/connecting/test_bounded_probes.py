"""One probe of a backend: every way to fail gives a reason, in bounded time, without the credential."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest
import trustme

from floe_core.errors import ConfigurationError
from floe_core.plugin_interfaces.connection import HttpProbe, Verdict, probe_http, probe_tcp, reasons_told, tell

pytestmark = pytest.mark.requirement("REQ-054")

KEY = "k3y-that-must-stay-hidden"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def listening(answer: Callable[[socket.socket], None] = lambda _: None) -> Iterator[int]:
    """Accepts connections; what happens to one is the caller's business."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    answer(connection)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=5)


class KeyChecker(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        accepted = self.headers.get("x-key") == KEY
        self.send_response(200 if accepted else 403)
        self.send_header("Content-Length", str(len(KEY)))
        self.end_headers()
        self.wfile.write(KEY.encode())

    def log_message(self, *_: object) -> None: ...


@contextmanager
def backend(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), KeyChecker)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)


def test_an_open_port_is_reachable() -> None:
    with listening() as port:
        assert probe_tcp("127.0.0.1", port) == Verdict(reachable=True)


def test_a_closed_port_refuses() -> None:
    port = free_port()

    assert probe_tcp("127.0.0.1", port).reason == f"127.0.0.1:{port} refuses connections"


def test_an_unknown_name_is_said_to_be_one() -> None:
    assert probe_tcp("no-such-host.invalid", 80).reason == "the name no-such-host.invalid:80 is not known (DNS)"


def test_an_accepted_credential_is_reachable() -> None:
    with backend() as port:
        assert probe_http(HttpProbe("GET", f"http://127.0.0.1:{port}/", {"x-key": KEY})).reachable


def test_a_refused_credential_is_said_without_it() -> None:
    with backend() as port:
        verdict = probe_http(HttpProbe("GET", f"http://127.0.0.1:{port}/", {"x-key": "wrong"}))

    assert verdict == Verdict(reachable=False, reason="the backend refuses the credential (HTTP 403)")


def test_a_black_hole_costs_no_more_than_the_bound() -> None:
    held: list[socket.socket] = []
    release = threading.Event()

    def hold(connection: socket.socket) -> None:
        held.append(connection)
        release.wait(timeout=10)

    with listening(hold) as port:
        started = time.monotonic()
        verdict = probe_http(HttpProbe("GET", f"http://127.0.0.1:{port}/"), timeout_seconds=0.3)
        seconds = time.monotonic() - started
        release.set()

    assert not verdict.reachable
    assert "did not answer" in verdict.reason
    assert seconds < 3


def test_a_dripping_answer_costs_no_more_than_the_bound() -> None:
    release = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not release.wait(timeout=0.05):
            try:
                connection.sendall(b"x")
            except OSError:
                return

    with listening(drip) as port:
        verdict = probe_http(HttpProbe("GET", f"http://127.0.0.1:{port}/"), timeout_seconds=0.5)
        release.set()

    assert verdict.reason == "127.0.0.1 did not answer within 0.5 s"


def test_an_untrusted_certificate_is_said_to_be_one() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with backend(context) as port:
        verdict = probe_http(HttpProbe("GET", f"https://127.0.0.1:{port}/"))

    assert verdict.reason.startswith("no trusted TLS connection to 127.0.0.1")


def test_a_malformed_address_is_a_reason_not_an_exception() -> None:
    assert not probe_http(HttpProbe("GET", "http://[::1/")).reachable


@pytest.mark.parametrize(
    "key",
    [pytest.param(f"{KEY}\n", id="line break, as of echo"), pytest.param(f"{KEY}\u2026", id="cut by a chat program")],
)
def test_a_credential_that_no_header_can_hold_is_said_without_it(key: str) -> None:
    with backend() as port:
        verdict = probe_http(HttpProbe("GET", f"http://127.0.0.1:{port}/", {"x-key": key}))

    assert verdict.reason == "the credential holds what no header may hold, such as a line break at its end"


@pytest.mark.parametrize("read", [lambda: int("host-without-port"), lambda: urlsplit("http://u:pass@h:99999").port])
def test_an_address_that_cannot_be_read_is_a_reason_without_it(
    read: Callable[[], object], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe() -> Verdict:
        return Verdict(reachable=read() is not None)

    assert tell("jaeger", probe) is False
    logged = capsys.readouterr().out + caplog.text
    assert "the address is malformed" in logged
    assert "host-without-port" not in logged
    assert "99999" not in logged


def test_a_missing_credential_is_a_reason_and_is_logged(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe() -> Verdict:
        raise ConfigurationError("The credential DD_API_KEY is not set.")

    assert tell("datadog", probe) is False
    assert "DD_API_KEY is not set" in capsys.readouterr().out + caplog.text


def test_whoever_listens_is_told_the_reason_in_place_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with reasons_told() as reasons:
        assert not tell("acme", lambda: Verdict(reachable=False, reason="refused, password=hunter22"))
    assert reasons == ["refused, password=***"]
    assert caplog.text == ""
