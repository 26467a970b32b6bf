"""What an authority issues is what a TLS client accepts, for the promised time."""

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from floe_certs.authority import Certificate, create_authority, issue_serving_certificate

pytestmark = pytest.mark.requirement("CC-3.3", "FP-8")

LOCALHOST = ipaddress.ip_address("127.0.0.1")


def parsed(certificate: Certificate) -> x509.Certificate:
    return x509.load_pem_x509_certificate(certificate.certificate_pem)


def handshake(authority: Certificate, serving: Certificate, name: str, folder: Path) -> None:
    """A TLS handshake of a client that trusts the authority alone and asks for a name."""
    (folder / "tls.crt").write_bytes(serving.certificate_pem)
    (folder / "tls.key").write_bytes(serving.key_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    client = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    there, here = socket.socketpair()

    def answer() -> None:
        try:
            with server.wrap_socket(there, server_side=True):
                pass
        except OSError:
            there.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with client.wrap_socket(here, server_hostname=name):
            pass
    finally:
        here.close()
        thread.join(timeout=10)


@pytest.mark.parametrize("name", ["floe-webhook.floe.svc", "127.0.0.1"])
def test_a_client_that_trusts_the_authority_accepts_each_name(name: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = create_authority("floe", now=now)
    serving = issue_serving_certificate(
        authority, dns_names=["floe-webhook.floe.svc"], ip_addresses=[LOCALHOST], now=now
    )
    handshake(authority, serving, name, tmp_path)


def test_a_client_refuses_another_name(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = create_authority("floe", now=now)
    serving = issue_serving_certificate(authority, dns_names=["floe-webhook.floe.svc"], now=now)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority, serving, "elsewhere.floe.svc", tmp_path)


def test_a_client_refuses_what_another_authority_has_signed(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    serving = issue_serving_certificate(create_authority("floe", now=now), dns_names=["a.floe.svc"], now=now)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(create_authority("floe", now=now), serving, "a.floe.svc", tmp_path)


def test_lifetimes_count_from_the_given_time() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    authority = create_authority("floe", now=now, lifetime=timedelta(days=10))
    serving = issue_serving_certificate(authority, dns_names=["a"], now=now, lifetime=timedelta(minutes=3))
    assert parsed(authority).not_valid_after_utc == now + timedelta(days=10)
    assert parsed(serving).not_valid_after_utc == now + timedelta(minutes=3)
    assert parsed(serving).not_valid_before_utc < now


def test_a_certificate_never_outlives_its_authority() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    authority = create_authority("floe", now=now, lifetime=timedelta(hours=1))
    serving = issue_serving_certificate(authority, dns_names=["a"], now=now)
    assert parsed(serving).not_valid_after_utc == parsed(authority).not_valid_after_utc


def test_a_long_service_name_still_gets_a_certificate() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    name = f"{'a' * 60}.{'b' * 60}.svc"
    serving = issue_serving_certificate(create_authority("floe", now=now), dns_names=[name], now=now)
    names = parsed(serving).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [name]


def test_the_key_does_not_show_in_a_representation() -> None:
    authority = create_authority("floe", now=datetime(2030, 1, 1, tzinfo=UTC))
    assert "PRIVATE KEY" not in repr(authority)


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        pytest.param(lambda a, now: issue_serving_certificate(a, now=now), "at least one", id="no name at all"),
        pytest.param(
            lambda a, now: issue_serving_certificate(a, dns_names=["a"], now=now + timedelta(days=4000)),
            "the authority ended",
            id="an authority that has ended",
        ),
        pytest.param(
            lambda a, now: issue_serving_certificate(
                issue_serving_certificate(a, dns_names=["a"], now=now), dns_names=["b"], now=now
            ),
            "no authority",
            id="a leaf as authority",
        ),
        pytest.param(lambda _, now: create_authority("floe", now=now.replace(tzinfo=None)), "time zone", id="naive"),
        pytest.param(
            lambda _, now: create_authority("floe", now=now, lifetime=timedelta(0)), "not positive", id="no lifetime"
        ),
    ],
)
def test_what_cannot_be_issued_is_refused_with_a_reason(
    attempt: Callable[[Certificate, datetime], Certificate], says: str
) -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match=says):
        attempt(create_authority("floe", now=now), now)
