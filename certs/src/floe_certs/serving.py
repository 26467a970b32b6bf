"""The TLS context of a server whose certificate changes while it serves.

One home for two rules: a pair that does not fit together never reaches the context, and connections that are open, or
in the middle of their handshake, keep the certificate that they began with.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from floe_certs.authority import Certificate


class PairError(ValueError):
    """A certificate and a key that cannot be served together; the message says why, without either."""


class BundleError(ValueError):
    """A bundle in which no certificate can be read."""


class ServingContext:
    """A server's TLS context and the pair in it.

    Attributes:
        context: For the listener; the same object for the server's whole life. Without a pair every handshake fails.
        served: The pair that new connections get; None before the first one.
    """

    def __init__(self) -> None:
        self.context = server_context()
        self.served: Certificate | None = None

    def serve(self, pair: Certificate) -> None:
        """Takes a pair for new connections.

        Call it in the thread of the event loop that accepts connections: a connection that begins while another thread
        loads a pair would find half of it.

        Raises:
            PairError: The pair cannot be served; what was served stays.
        """
        # OpenSSL takes the certificate first and the key second, so another context tries them.
        load_pair(server_context(), pair)
        load_pair(self.context, pair)
        self.served = pair


def server_context() -> ssl.SSLContext:
    """A context for a TLS server, 1.2 or newer, without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def client_context(bundle: bytes) -> ssl.SSLContext:
    """A context for a client that trusts a PEM bundle as the API server trusts a `caBundle`.

    Raises:
        BundleError: Nothing in the bundle can be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # Go's crypto/x509 looks at subject alternative names only
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # Go takes every certificate of a pool as an anchor
    try:
        context.load_verify_locations(cadata=bundle.decode("ascii", errors="replace"))
    except (ssl.SSLError, ValueError):  # ValueError: there is nothing at all
        raise BundleError("no certificate of the bundle can be read") from None
    return context


def load_pair(context: ssl.SSLContext, pair: Certificate) -> None:
    """Loads a pair into a context.

    Raises:
        PairError: Certificate or key cannot be read, or they do not belong together.
    """
    with _file_of(pair.certificate_pem) as certificate, _file_of(pair.key_pem) as key:
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or "the key is encrypted or cannot be read"
            raise PairError(f"certificate and key cannot be served: {reason}") from None


@contextmanager
def _file_of(content: bytes) -> Iterator[Path]:
    """A path under which content can be read; it lives in memory, so that a key never touches a disk."""
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        yield Path(f"/proc/self/fd/{descriptor}")


def _no_password() -> str:
    """Instead of OpenSSL's own question on the terminal."""
    raise ValueError
