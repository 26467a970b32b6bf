"""What may be told of an exception that nobody expected."""

import traceback

from floe_certs.api import ConflictError, RefusedError, UnreachableError
from floe_core.errors import FloeError

_TELLING = (FloeError, ConflictError, RefusedError, UnreachableError)


def reason_of(error: BaseException) -> str:
    """Its own text if that is ours; an exception's text may hold a pod's values, and those are not ours to log."""
    return str(error) if isinstance(error, _TELLING) else type(error).__name__


def places(error: BaseException) -> list[str]:
    """Where it was raised."""
    return [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
