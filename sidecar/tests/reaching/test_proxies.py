"""What goes over a proxy, what goes directly, and what the proxy gets to see; a real proxy with real tunnels."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from floe_sidecar.proxies import Proxy, ProxyRules, goes_directly
from sidecar.tests.builders import body, post, relay, until
from sidecar.tests.reaching.servers import ProxyStandIn, behind_tls
from sidecar.tests.standins import BackendStandIn

pytestmark = pytest.mark.requirement("CC-3.3", "RELAY-4")


@pytest.fixture
async def proxy() -> AsyncIterator[ProxyStandIn]:
    stand_in = await ProxyStandIn().start()
    yield stand_in
    await stand_in.stop()


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


async def test_https_goes_through_a_tunnel_and_the_proxy_sees_no_event(
    tmp_path: Path, backend: BackendStandIn, proxy: ProxyStandIn, authority: trustme.CA
) -> None:
    async with (
        behind_tls(backend, authority, name="lineage.example") as url,
        relay(tmp_path, lineage_url=url, lineage_ca_file=tmp_path / "ca.pem", https_proxy=proxy.url) as sidecar,
    ):
        for number in range(3):
            assert (await post(sidecar.application.port, body(1, "OTHER", number))).status == 201
        await until(lambda: sidecar.writer.level.events == 0)
        port = url.rsplit(":", 1)[1]
    assert [seen.body for seen in backend.accepted] == [body(1, "OTHER", number) for number in range(3)]
    assert proxy.lines == [f"CONNECT lineage.example:{port} HTTP/1.1"]
    assert len(proxy.passed) > 1000
    assert b"demo.orders" not in proxy.passed


async def test_plain_http_goes_with_the_whole_url_in_the_request_line(
    tmp_path: Path, backend: BackendStandIn, proxy: ProxyStandIn
) -> None:
    url = f"http://lineage.example:{backend.port}"
    async with relay(tmp_path, lineage_url=url, http_proxy=proxy.url) as sidecar:
        assert (await post(sidecar.application.port, body())).status == 201
        await until(lambda: sidecar.writer.level.events == 0)
    assert proxy.lines == [f"POST {url}/api/v1/lineage HTTP/1.1"]
    assert backend.accepted[0].headers["host"] == f"lineage.example:{backend.port}"


async def test_what_no_proxy_names_goes_directly(tmp_path: Path, backend: BackendStandIn, proxy: ProxyStandIn) -> None:
    async with relay(tmp_path, lineage_url=backend.url, http_proxy=proxy.url, no_proxy=".svc,127.0.0.0/8") as sidecar:
        assert (await post(sidecar.application.port, body())).status == 201
        await until(lambda: sidecar.writer.level.events == 0)
    assert (proxy.lines, len(backend.accepted)) == ([], 1)


@pytest.mark.parametrize("secure", [True, False], ids=["tunnel", "plain"])
async def test_a_proxy_that_asks_for_a_user_gets_the_one_of_the_file_also_when_it_comes_later(
    tmp_path: Path, backend: BackendStandIn, authority: trustme.CA, *, secure: bool
) -> None:
    proxy = await ProxyStandIn(user="me:p:w").start()
    file = tmp_path / "user"
    async with behind_tls(backend, authority, name="lineage.example") as tls_url:
        given = {
            "lineage_url": tls_url if secure else f"http://lineage.example:{backend.port}",
            "lineage_ca_file": tmp_path / "ca.pem",
            "https_proxy": proxy.url,
            "http_proxy": proxy.url,
            "proxy_user_file": file,
        }
        async with relay(tmp_path, **given) as sidecar:
            assert (await post(sidecar.application.port, body())).status == 201
            await until(lambda: "407" in sidecar.delivery.last.failure)
            assert sidecar.writer.level.dead_letters == 0
            file.write_text("me:p:w\n")
            await until(lambda: sidecar.writer.level.events == 0)
    await proxy.stop()
    assert len(backend.accepted) == 1
    assert "proxy-authorization" not in backend.accepted[0].headers


@pytest.mark.parametrize(
    ("entries", "host", "port", "directly"),
    [
        ("", "marquez.example", 443, False),
        ("*", "marquez.example", 443, True),
        ("example", "marquez.example", 443, True),
        ("marquez.example", "marquez.example", 443, True),
        ("arquez.example", "marquez.example", 443, False),
        (".marquez.example", "marquez.example", 443, False),
        (".example", "marquez.example", 443, True),
        ("*.example", "marquez.example", 443, True),
        ("marquez.example:443", "marquez.example", 443, True),
        ("marquez.example:444", "marquez.example", 443, False),
        ("a, b marquez.EXAMPLE", "marquez.example", 443, True),
        ("10.0.0.0/8", "10.9.8.7", 80, True),
        ("10.0.0.0/8", "11.9.8.7", 80, False),
        ("10.0.0.0/8", "ten.example", 80, False),
        ("10.9.8.7", "10.9.8.7", 80, True),
        ("10.9.8.7:81", "10.9.8.7", 80, False),
        ("10.9.8.7:80", "10.9.8.7", 80, True),
        ("fd00::/8", "fd00::1", 80, True),
        ("fd00::1", "fd00::1", 80, True),
        ("[fd00::1]:80", "fd00::1", 80, True),
        ("[fd00::1]:81", "fd00::1", 80, False),
        ("nonsense/8, :, /, [", "10.9.8.7", 80, False),
        ("", "localhost", 80, True),
        ("", "127.0.0.2", 80, True),
        ("", "::1", 80, True),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(entries: str, host: str, port: int, directly: bool) -> None:
    assert goes_directly(host, port, entries) is directly


@settings(max_examples=50)
@given(st.text(max_size=40), st.from_regex(r"[a-z0-9.:-]{1,30}", fullmatch=True))
def test_no_entry_whatever_it_holds_stops_a_delivery(entries: str, host: str) -> None:
    assert goes_directly(host, 443, entries) in {True, False}


def test_each_scheme_has_its_own_proxy_and_a_user_is_decoded_and_never_shown() -> None:
    rules = ProxyRules(http="http://plain:80", https="http://me:p%40ss@secure:3128", no_proxy="")
    assert rules.proxy_for("http://a.example") == Proxy("plain", 80)
    assert rules.proxy_for("https://a.example/x") == Proxy("secure", 3128, "me:p@ss")
    assert "p@ss" not in repr(rules.proxy_for("https://a.example"))
    assert "p%40ss" not in repr(rules)
    assert base64.b64encode(b"me:p@ss").decode() not in repr(rules)
