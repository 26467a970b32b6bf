"""Lengths of time as people write them on a command line."""

import re
from datetime import timedelta

_ISO = re.compile(
    r"P(?:(?P<days>\d+)D)?(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
_SHORT = re.compile(r"(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?(?:(?P<seconds>\d+(?:\.\d+)?)s)?")


def parse_duration(text: str) -> timedelta:
    """The length of `PT90M` (ISO 8601, without years and months, which have no fixed length), `90m` or `1h30m`.

    Raises:
        ValueError: It is neither; the message says what would be.
    """
    found = _ISO.fullmatch(text) or _SHORT.fullmatch(text)
    given = {unit: float(number) for unit, number in found.groupdict().items() if number} if found else {}
    if not given:
        raise ValueError(f"{text!r} is no length of time; write e.g. 90m, 1h30m, 365d or PT90M")
    try:
        return timedelta(**given)
    except OverflowError:
        raise ValueError(f"{text!r} is longer than can be counted") from None
