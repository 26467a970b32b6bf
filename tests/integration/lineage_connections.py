"""What `validate_connection` of every lineage backend must tell; plugins' tests inherit the class that fits."""

import ssl
import time
from pathlib import Path
from typing import ClassVar

import pytest
import structlog
import trustme

from floe_core.plugin_interfaces import LineageBackendPlugin, OpenLineageTransport
from floe_core.testing.loopback import closed_port
from tests.integration.lineage_standins import KEY, Vendor, black_hole, standing_in

_SHORT_SECONDS = 0.5
# The resolver's own timeouts are not ours; `.invalid` is refused by name (RFC 6761).
_RESOLVER_SECONDS = 9.0


@pytest.mark.requirement("REQ-060", "HOUSE-7")
class ServerConnectionTests:
    """A server that one hosts oneself: it listens or it does not."""

    @pytest.fixture
    def plugin(self) -> LineageBackendPlugin:
        """The plugin, configured with the credential `variable`."""
        raise NotImplementedError

    variable: ClassVar[str]
    vendor: ClassVar[Vendor]

    @pytest.fixture(autouse=True)
    def credential(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(self.variable, KEY)

    def reason(self, plugin: LineageBackendPlugin, transport: OpenLineageTransport) -> str:
        """The logged reason of a failure; empty if the backend can be reached."""
        with structlog.testing.capture_logs() as logs:
            reached = plugin.validate_connection(transport)
        assert reached is not bool(logs), f"{reached} with {logs}"
        assert KEY not in str(logs), "the credential is in the log"
        return str(logs[0]["reason"]) if logs else ""

    def at(self, plugin: LineageBackendPlugin, origin: str) -> OpenLineageTransport:
        return plugin.get_transport_config("production").model_copy(update={"url": origin})

    def hasten(self, plugin: LineageBackendPlugin, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        monkeypatch.setattr(type(plugin), "probe_timeout_seconds", seconds)

    def test_a_backend_that_is_there_is_reached(self, plugin: LineageBackendPlugin) -> None:
        with standing_in(self.vendor) as backend:
            assert self.reason(plugin, self.at(plugin, backend.origin)) == ""

    def test_a_refused_connection_is_told(self, plugin: LineageBackendPlugin) -> None:
        assert "refuses connections" in self.reason(plugin, self.at(plugin, f"http://127.0.0.1:{closed_port()}"))

    def test_a_black_hole_is_told_within_the_bound(
        self, plugin: LineageBackendPlugin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.hasten(plugin, monkeypatch, _SHORT_SECONDS)
        with black_hole() as port:
            started = time.monotonic()
            reason = self.reason(plugin, self.at(plugin, f"http://127.0.0.1:{port}"))
        assert "did not answer" in reason
        assert time.monotonic() - started < _SHORT_SECONDS + 2

    def test_an_unknown_name_is_told(self, plugin: LineageBackendPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
        self.hasten(plugin, monkeypatch, _RESOLVER_SECONDS)
        reason = self.reason(plugin, self.at(plugin, "http://no-such-host.invalid:8080"))
        assert "no-such-host.invalid" in reason
        assert "DNS" in reason

    def test_a_missing_variable_is_told_by_name_and_nobody_is_asked(
        self, plugin: LineageBackendPlugin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv(self.variable)
        with standing_in(self.vendor) as backend:
            reason = self.reason(plugin, self.at(plugin, backend.origin))
        assert self.variable in reason
        assert backend.requests == []

    def test_a_transport_without_an_address_is_told(self, plugin: LineageBackendPlugin) -> None:
        transport = plugin.get_transport_config("production").model_copy(update={"url": None})
        assert "no address" in self.reason(plugin, transport)


class AccountConnectionTests(ServerConnectionTests):
    """A service with accounts: it takes the credential or it does not."""

    @pytest.fixture
    def authority(self) -> trustme.CA:
        return trustme.CA()

    @pytest.fixture
    def server_context(self, authority: trustme.CA) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        return context

    @pytest.fixture
    def trusted(self, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(file))
        monkeypatch.setenv("SSL_CERT_FILE", str(file))

    @pytest.mark.usefixtures("trusted")
    def test_the_documented_call_is_made_over_trusted_tls(
        self, plugin: LineageBackendPlugin, server_context: ssl.SSLContext
    ) -> None:
        with standing_in(self.vendor, server_context) as backend:
            assert self.reason(plugin, self.at(plugin, backend.origin)) == ""
        assert backend.requests == [("GET", self.vendor.account_path, 200)]

    def test_a_wrong_key_is_told(self, plugin: LineageBackendPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(self.variable, f"not-{KEY}")
        with standing_in(self.vendor) as backend:
            reason = self.reason(plugin, self.at(plugin, backend.origin))
        assert reason == "the backend refuses the credential (HTTP 401)"

    def test_an_untrusted_certificate_is_told_and_the_key_is_not_sent(
        self, plugin: LineageBackendPlugin, server_context: ssl.SSLContext
    ) -> None:
        with standing_in(self.vendor, server_context) as backend:
            reason = self.reason(plugin, self.at(plugin, backend.origin))
        assert "no trusted TLS connection" in reason
        assert backend.requests == []

    def test_a_server_that_is_another_one_is_told(self, plugin: LineageBackendPlugin) -> None:
        elsewhere = Vendor("/other", 200, "/other")
        with standing_in(elsewhere) as backend:
            reason = self.reason(plugin, self.at(plugin, backend.origin))
        assert "HTTP 404; check the address" in reason
