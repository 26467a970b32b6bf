"""What a TLS client would say about a certificate, found out by a handshake in memory: no network, no clock."""

import ssl

from cryptography import x509

from floe_certs.authority import Certificate
from floe_certs.serving import BundleError, PairError, client_context, load_pair, server_context

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: times are compared with the caller's clock, elsewhere."""

_FLIGHTS = 8
"""More than any TLS handshake needs."""


def certificates_in(pem: bytes) -> list[x509.Certificate]:
    """The certificates of a PEM text, in order.

    Raises:
        ValueError: A certificate begins that does not end or cannot be read; the message says which.
    """
    blocks = pem.split(b"-----BEGIN CERTIFICATE-----")[1:]
    found = []
    for place, block in enumerate(blocks, start=1):
        body, end, _ = block.partition(b"-----END CERTIFICATE-----")
        if not end:
            raise ValueError(f"certificate {place} of {len(blocks)} is cut off: its END line is missing")
        try:
            found.append(x509.load_pem_x509_certificate(b"-----BEGIN CERTIFICATE-----" + body + end + b"\n"))
        except ValueError:
            raise ValueError(f"certificate {place} of {len(blocks)} cannot be read") from None
    return found


def refusal(serving: Certificate, bundle: bytes, name: str) -> str | None:
    """Why a client that trusts a bundle refuses a server of this name, whatever the time is; None if it does not.

    Args:
        serving: The server's pair; its certificate may be followed by its chain.
        bundle: PEM certificates.
        name: A DNS name or an IP address.
    """
    try:
        client = client_context(bundle)
    except BundleError as error:
        return str(error)
    # The flag is OpenSSL's, the enumeration does not name it.
    client.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    server = server_context()
    try:
        load_pair(server, serving)
    except PairError as error:
        return str(error)
    return _handshake(client, server, name)


def _handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> str | None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(_FLIGHTS):
        waiting = False
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting = True
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
            except ssl.SSLError as error:
                return error.reason
        if not waiting:
            return None
    return "the handshake does not end"
