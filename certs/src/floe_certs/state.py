"""The shared Secret of our own authority: what it holds, under which keys, and how it is read back.

| key                   | holds                                                                                      |
|-----------------------|--------------------------------------------------------------------------------------------|
| `tls.crt`, `tls.key`  | the serving certificate                                                                    |
| `ca.crt`              | every authority that clients have to trust: the one that signs, the next one, retired ones |
| `ca.key`              | the key of the one that signs                                                              |
| `next-ca.key`         | the key of the next one, while clients begin to trust it                                   |
| `last-of-retired.crt` | the last certificate that a retired authority signed: it is trusted until that one ends    |

Which authority is which follows from the keys: one whose key is not there is retired, it can never sign again.
Taking `ca.key` away therefore asks for a new authority, without a gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from floe_certs.authority import Certificate
from floe_certs.defects import Defect, DefectiveSecretError, Finding
from floe_certs.inspection import AUTHORITIES, TLS_CERTIFICATE, TLS_KEY, Material, names_of
from floe_certs.verification import certificates_in, refusal

AUTHORITY_KEY = "ca.key"
NEXT_AUTHORITY_KEY = "next-ca.key"
LAST_OF_RETIRED = "last-of-retired.crt"


@dataclass(frozen=True, slots=True)
class State:
    """Where the rotation of our own authority stands.

    Attributes:
        serving: What every replica serves.
        signing: Signs serving certificates; None if its key was taken away.
        next: Will sign as soon as every API server trusts it.
        retired: Authorities that are trusted for what they have signed; nobody has their keys.
        last_of_retired: When this certificate has ended, none of theirs is left; None if that is `serving`.
    """

    serving: Certificate
    signing: Certificate | None
    next: Certificate | None = None
    retired: tuple[bytes, ...] = ()
    last_of_retired: bytes | None = field(default=None, repr=False)

    @property
    def trusted(self) -> tuple[bytes, ...]:
        """The authorities that belong into `caBundle`, as PEM."""
        living = [one.certificate_pem for one in (self.signing, self.next) if one is not None]
        return (*living, *self.retired)

    @property
    def material(self) -> Material:
        """What is served, and what has to be trusted for it."""
        return Material(self.serving, self.trusted)

    def data(self) -> dict[str, bytes]:
        """The Secret's content."""
        content = {
            TLS_CERTIFICATE: self.serving.certificate_pem,
            TLS_KEY: self.serving.key_pem,
            AUTHORITIES: b"".join(self.trusted),
        }
        if self.signing is not None:
            content[AUTHORITY_KEY] = self.signing.key_pem
        if self.next is not None:
            content[NEXT_AUTHORITY_KEY] = self.next.key_pem
        if self.last_of_retired is not None:
            content[LAST_OF_RETIRED] = self.last_of_retired
        return content


def read_state(data: Mapping[str, bytes]) -> State | None:
    """The state that a Secret holds; None if it is empty, as a chart creates it.

    Ended certificates are no defect here: renewing them is what the state is read for.

    Args:
        data: The Secret's content, decoded.

    Raises:
        DefectiveSecretError: Somebody has changed it so that it cannot be served from.
    """
    if not any(data.values()):
        return None
    authorities = _certificates(data, AUTHORITIES, Defect.AUTHORITY_UNREADABLE)
    _certificates(data, TLS_CERTIFICATE, Defect.CERTIFICATE_UNREADABLE)
    retired_last = data.get(LAST_OF_RETIRED)
    if retired_last is not None:
        _certificates(data, LAST_OF_RETIRED, Defect.CERTIFICATE_UNREADABLE)
    signing = _owner_of(data.get(AUTHORITY_KEY), AUTHORITY_KEY, authorities)
    next_authority = _owner_of(data.get(NEXT_AUTHORITY_KEY), NEXT_AUTHORITY_KEY, authorities)
    living = {one.certificate_pem for one in (signing, next_authority) if one is not None}
    state = State(
        serving=Certificate(data[TLS_CERTIFICATE], data.get(TLS_KEY, b"")),
        signing=signing,
        next=next_authority,
        retired=tuple(pem for one in authorities if (pem := one.public_bytes(Encoding.PEM)) not in living),
        last_of_retired=retired_last,
    )
    if (reason := _unservable(state)) is not None:
        raise _defective(Defect.CHAIN_BROKEN, f"tls.crt, tls.key and ca.crt do not belong together: {reason}.")
    return state


def _unservable(state: State) -> str | None:
    """Why nobody could be served; a certificate for other names is served until it is replaced."""
    names = names_of(certificates_in(state.serving.certificate_pem)[0])
    return refusal(state.serving, b"".join(state.trusted), names[0]) if names else "tls.crt names no server"


def _certificates(data: Mapping[str, bytes], key: str, defect: Defect) -> list[x509.Certificate]:
    try:
        found = certificates_in(data.get(key, b""))
    except ValueError as error:
        raise _defective(defect, f"{key}: {error}.") from None
    if not found:
        raise _defective(defect, f"{key} holds no certificate.")
    return found


def _owner_of(pem: bytes | None, key_name: str, authorities: list[x509.Certificate]) -> Certificate | None:
    if pem is None:
        return None
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise _defective(Defect.KEY_UNREADABLE, f"{key_name} cannot be read.") from None
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for one in authorities:
        if one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == public:
            return Certificate(one.public_bytes(Encoding.PEM), pem)
    raise _defective(Defect.KEY_OF_ANOTHER, f"{key_name} belongs to no authority of ca.crt.")


def _defective(defect: Defect, sentence: str) -> DefectiveSecretError:
    return DefectiveSecretError([Finding(defect, sentence)])
