"""Looks at a Secret that somebody else fills: usable certificates, or everything that is wrong with them.

Pure: the content and the time come in. Nothing of a key ever stands in a sentence.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from floe_certs.authority import Certificate
from floe_certs.defects import Defect, DefectiveSecretError, Finding
from floe_certs.verification import certificates_in, refusal

TLS_CERTIFICATE = "tls.crt"
TLS_KEY = "tls.key"
AUTHORITIES = "ca.crt"


@dataclass(frozen=True, slots=True)
class Material:
    """What a server needs, and what its clients have to trust.

    Attributes:
        serving: The pair to serve; its certificate may be followed by its chain.
        trusted: The authorities that clients need, each as PEM, the most important first.
    """

    serving: Certificate
    trusted: tuple[bytes, ...]

    @property
    def ends_at(self) -> datetime:
        """When the serving certificate ends."""
        return x509.load_pem_x509_certificate(self.serving.certificate_pem).not_valid_after_utc


def inspect(data: Mapping[str, bytes], *, name: str, now: datetime) -> Material:
    """The certificates of a Secret with `tls.crt`, `tls.key` and `ca.crt`.

    Without `ca.crt` the last certificate of `tls.crt` is the authority, if it has signed itself.

    Args:
        data: The Secret's content, decoded.
        name: What the API server calls the server: a DNS name or an IP address.
        now: The current time, aware.

    Raises:
        DefectiveSecretError: Something is wrong; all of it is said.
    """
    findings: list[Finding] = []
    chain = _certificates(data, TLS_CERTIFICATE, Defect.CERTIFICATE_MISSING, Defect.CERTIFICATE_UNREADABLE, findings)
    authorities = _authorities(data, chain, findings)
    findings += _about_key(data.get(TLS_KEY, b""), chain)
    findings += _about_times(chain, authorities, now)
    findings += _about_names(chain, name)
    if findings:
        raise DefectiveSecretError(findings)
    trusted = tuple(one.public_bytes(Encoding.PEM) for one in authorities)
    serving = Certificate(data[TLS_CERTIFICATE], data[TLS_KEY])
    if (reason := refusal(serving, b"".join(trusted), name)) is not None:
        sentence = (
            f"tls.crt does not verify against ca.crt for {name}: {reason}; put the authority that signed it into "
            "ca.crt and the certificates between them into tls.crt."
        )
        raise DefectiveSecretError([Finding(Defect.CHAIN_BROKEN, sentence)])
    return Material(serving, trusted)


def _certificates(
    data: Mapping[str, bytes], key: str, missing: Defect, unreadable: Defect, findings: list[Finding]
) -> list[x509.Certificate]:
    try:
        found = certificates_in(data.get(key, b""))
    except ValueError as error:
        findings.append(Finding(unreadable, f"{key}: {error}; write the whole PEM text."))
        return []
    if not found:
        findings.append(Finding(missing, f"{key} holds no certificate; write one as PEM."))
    return found


def _authorities(
    data: Mapping[str, bytes], chain: list[x509.Certificate], findings: list[Finding]
) -> list[x509.Certificate]:
    if data.get(AUTHORITIES, b"").strip():
        return _certificates(data, AUTHORITIES, Defect.AUTHORITY_MISSING, Defect.AUTHORITY_UNREADABLE, findings)
    if chain and chain[-1].subject == chain[-1].issuer:
        return chain[-1:]
    if chain:
        sentence = "ca.crt is missing and tls.crt does not end with an authority that signed itself; add ca.crt."
        findings.append(Finding(Defect.AUTHORITY_MISSING, sentence))
    return []


def _about_key(pem: bytes, chain: list[x509.Certificate]) -> Iterator[Finding]:
    if not pem.strip():
        yield Finding(Defect.KEY_MISSING, "tls.key is missing; add the certificate's private key as PEM.")
        return
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        yield Finding(Defect.KEY_UNREADABLE, "tls.key is encrypted; write it without a password.")
        return
    except (ValueError, UnsupportedAlgorithm):
        yield Finding(Defect.KEY_UNREADABLE, "tls.key cannot be read; write the whole PEM text of a private key.")
        return
    if not chain:
        return
    ours, theirs = (
        one.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for one in (key.public_key(), chain[0].public_key())
    )
    if ours != theirs:
        sentence = "tls.key belongs to another certificate than the first one of tls.crt; write both of one pair."
        yield Finding(Defect.KEY_OF_ANOTHER, sentence)


def _about_times(
    chain: list[x509.Certificate], authorities: list[x509.Certificate], now: datetime
) -> Iterator[Finding]:
    for certificate in chain[:1]:
        if certificate.not_valid_after_utc <= now:
            ended = certificate.not_valid_after_utc.isoformat()
            yield Finding(Defect.EXPIRED, f"The certificate of tls.crt ended at {ended}; write a new one.")
        if certificate.not_valid_before_utc > now:
            begins = certificate.not_valid_before_utc.isoformat()
            yield Finding(Defect.NOT_YET_VALID, f"The certificate of tls.crt begins at {begins}; look at the clocks.")
    if authorities and all(one.not_valid_after_utc <= now for one in authorities):
        ended = max(one.not_valid_after_utc for one in authorities).isoformat()
        yield Finding(Defect.AUTHORITY_EXPIRED, f"The authority of ca.crt ended at {ended}; write a new one.")


def _about_names(chain: list[x509.Certificate], name: str) -> Iterator[Finding]:
    for certificate in chain[:1]:
        names = names_of(certificate)
        if not any(_covers(one, name) for one in names):
            listed = ", ".join(names) or "none"
            yield Finding(
                Defect.WRONG_NAME,
                f"The certificate of tls.crt is not for {name}, the name that the API server asks for; its names: "
                f"{listed}. Add it as a subject alternative name.",
            )


def names_of(certificate: x509.Certificate) -> list[str]:
    """A certificate's DNS names and IP addresses; its common name is none of them."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    names = extension.value
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _covers(pattern: str, name: str) -> bool:
    pattern, name = pattern.lower(), name.lower()
    # RFC 6125 §6.4.3: a wildcard stands for the whole leftmost label and for nothing else.
    return pattern == name or (pattern.startswith("*.") and name.partition(".")[2] == pattern[2:])
