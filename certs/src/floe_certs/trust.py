"""Who trusts what: the authorities in the `caBundle` entries that the API server has, and for how long they are there.

Pure. The API server reads a changed `caBundle` a moment after it was written, and there may be several API servers, so
an authority counts as trusted everywhere only when it has been seen in every entry for a while.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.hazmat.primitives.serialization import Encoding

from floe_certs.inspection import Material
from floe_certs.verification import certificates_in, refusal


def bundle_of(authorities: Iterable[bytes]) -> bytes:
    """A `caBundle`: each authority once, in the given order."""
    return b"".join(dict.fromkeys(authorities))


def authorities_in(bundle: bytes) -> tuple[bytes, ...]:
    """Each certificate of a bundle as PEM; nothing if it cannot be read."""
    try:
        return tuple(one.public_bytes(Encoding.PEM) for one in certificates_in(bundle))
    except ValueError:
        return ()


@dataclass(slots=True)
class TrustHistory:
    """Since when each authority is in every entry; one for each replica.

    Attributes:
        bundles: The entries as they were seen last, by name; None before the first look.
    """

    bundles: Mapping[str, bytes] | None = None
    _since: dict[bytes, float] = field(default_factory=dict)
    _last_look: float = 0.0

    def observe(self, bundles: Mapping[str, bytes], at: float) -> None:
        """Takes note of the entries at a monotonic time in seconds."""
        entries = [set(authorities_in(bundle)) for bundle in bundles.values()]
        everywhere = set.intersection(*entries) if entries else set()
        self._since = {one: self._since.get(one, at) for one in everywhere}
        self.bundles = dict(bundles)
        self._last_look = at

    def settled(self, seconds: float) -> frozenset[bytes]:
        """The authorities, as PEM, that were in every entry at every look for so long, up to the last look."""
        return frozenset(one for one, since in self._since.items() if self._last_look - since >= seconds)

    def present(self) -> tuple[bytes, ...]:
        """The authorities, as PEM, that were in every entry at the last look."""
        return tuple(self._since)


def may_serve(
    candidate: Material,
    current: Material | None,
    history: TrustHistory,
    settled: Iterable[bytes],
    *,
    name: str,
    now: datetime,
) -> bool:
    """Whether a replica may give a new certificate to its clients.

    | now served                                 | the new one                   | change |
    |--------------------------------------------|-------------------------------|--------|
    | nothing, or an ended certificate           | any                           | yes    |
    | anything                                   | trusted everywhere since long | yes    |
    | what an entry does not trust any more      | trusted by every entry        | yes    |
    | anything else                              | anything else                 | no     |
    """
    if current is None or current.ends_at <= now:
        return True
    if refusal(candidate.serving, bundle_of(settled), name) is None:
        return True
    bundles = list((history.bundles or {}).values())
    if not bundles or all(refusal(current.serving, bundle, name) is None for bundle in bundles):
        return False
    return all(refusal(candidate.serving, bundle, name) is None for bundle in bundles)
