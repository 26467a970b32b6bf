"""A certificate authority of one's own and the serving certificates that it issues.

Pure: keys come from the operating system's random source, the time is a parameter, nothing is written anywhere.
Rotation and `caBundle` build on these functions.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

AUTHORITY_LIFETIME = timedelta(days=3650)
SERVING_LIFETIME = timedelta(days=365)

BACKDATING = timedelta(days=1)
"""How long before now a certificate starts to be valid: clocks of a cluster's machines differ, and jump by hours."""

_COMMON_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its key, both as PEM."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)


def create_authority(name: str, *, now: datetime, lifetime: timedelta = AUTHORITY_LIFETIME) -> Certificate:
    """A self-signed authority that can issue serving certificates and nothing else.

    Args:
        name: Common name, at most 64 characters.
        now: The current time, aware.
        lifetime: From now on.

    Raises:
        ValueError: The name is empty or too long, or a time is naive or not positive.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _named(name)
    builder = (
        _valid(x509.CertificateBuilder(), now, lifetime)
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return _signed(builder, key, key)


def issue_serving_certificate(
    authority: Certificate,
    *,
    dns_names: Sequence[str] = (),
    ip_addresses: Sequence[IpAddress] = (),
    now: datetime,
    lifetime: timedelta = SERVING_LIFETIME,
) -> Certificate:
    """A certificate for a TLS server; it never outlives its authority.

    Args:
        authority: Signs.
        dns_names: Names that clients may use, e.g. `floe-webhook.floe.svc`.
        ip_addresses: Addresses that clients may use.
        now: The current time, aware.
        lifetime: From now on.

    Raises:
        ValueError: There is no name and no address, the authority is no authority or has ended, or a time is naive.
    """
    if not dns_names and not ip_addresses:
        raise ValueError("a serving certificate needs at least one DNS name or IP address")
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem)
    if issuer.not_valid_after_utc <= now:
        raise ValueError(f"the authority ended at {issuer.not_valid_after_utc.isoformat()}")
    if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise ValueError("the issuing certificate is no authority")
    issuer_key = serialization.load_pem_private_key(authority.key_pem, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise ValueError("the authority's key is no elliptic-curve key")  # noqa: TRY004 - the content is wrong
    key = ec.generate_private_key(ec.SECP256R1())
    names = [*map(x509.DNSName, dns_names), *map(x509.IPAddress, ip_addresses)]
    first = dns_names[0] if dns_names else str(ip_addresses[0])
    builder = (
        _valid(x509.CertificateBuilder(), now, min(lifetime, issuer.not_valid_after_utc - now))
        .subject_name(_named(first[:_COMMON_NAME_CHARACTERS]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    return _signed(builder, key, issuer_key)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _valid(builder: x509.CertificateBuilder, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
    if now.tzinfo is None:
        raise ValueError("now needs a time zone")
    if lifetime <= timedelta(0):
        raise ValueError(f"a lifetime of {lifetime} is not positive")
    return builder.not_valid_before(now - BACKDATING).not_valid_after(now + lifetime)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, issuer_key: ec.EllipticCurvePrivateKey
) -> Certificate:
    return Certificate(
        certificate_pem=builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
