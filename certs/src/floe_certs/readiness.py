"""Whether the API server could call this replica now: a handshake with oneself, trusting what the API server trusts."""

import asyncio
import contextlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from floe_certs.serving import BundleError, client_context

TIMEOUT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found at the last look that was possible.

    Attributes:
        ready: Every entry of the webhook configuration would reach this replica.
        reason: In a sentence, for `/readyz`.
        at: When; while the API server cannot be asked, a verdict grows old and stays.
    """

    ready: bool
    reason: str
    at: datetime | None = None


NOT_ASKED = Verdict(ready=False, reason="The webhook configuration was not read yet.")


async def judge(bundles: Mapping[str, bytes] | None, address: tuple[str, int], name: str, *, now: datetime) -> Verdict:
    """The verdict for the bundles that the API server has.

    Args:
        bundles: By entry; None if there is no webhook configuration.
        address: Where this replica listens.
        name: What the API server calls it.
        now: The current time.
    """
    if not bundles:
        return Verdict(ready=False, reason="There is no webhook configuration with an entry.", at=now)
    for bundle in dict.fromkeys(bundles.values()):
        entry = next(one for one, its in bundles.items() if its == bundle)
        if not bundle.strip():
            return Verdict(ready=False, reason=f"The entry {entry} has no caBundle yet.", at=now)
        if (problem := await _handshake(bundle, address, name)) is not None:
            return Verdict(ready=False, reason=f"A handshake as by the entry {entry} fails: {problem}.", at=now)
    return Verdict(ready=True, reason="A handshake verifies against every entry's caBundle.", at=now)


async def _handshake(bundle: bytes, address: tuple[str, int], name: str) -> str | None:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            _, writer = await asyncio.open_connection(*address, ssl=client_context(bundle), server_hostname=name)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except BundleError as error:
        return str(error)
    except ssl.SSLError as error:
        return error.reason or "the handshake fails"
    except TimeoutError:
        return f"no answer within {TIMEOUT_SECONDS:g} s"
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
