"""Durations and percentages as contracts write them: ISO 8601, value and unit, `99.9%`."""

import math
import re
from datetime import timedelta

import isodate
from isodate.isoerror import ISO8601Error

_SECONDS = {
    "s": 1, "sec": 1, "second": 1, "seconds": 1,
    # ODCS names no `m`; the field reads it as minutes for freshness.
    "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600,
    "d": 86_400, "day": 86_400, "days": 86_400,
    "w": 604_800, "week": 604_800, "weeks": 604_800,
    "y": 31_536_000, "yr": 31_536_000, "year": 31_536_000, "years": 31_536_000,
}  # fmt: skip
_NUMBER_AND_UNIT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]*)")
_EXAMPLES = "Write an ISO 8601 duration such as PT6H, or a number with a unit such as `value: 6`, `unit: h`."


def parse_duration(value: object, unit: str | None = None) -> timedelta:
    """A positive duration of fixed length.

    Args:
        value: An ISO 8601 duration (`PT6H`, `P1DT12H`), a number, or a number with its unit (`6h`).
        unit: The unit of a bare number: s, m or min, h, d, w, y (365 days), and their long forms.

    Raises:
        ValueError: It is none of these, not positive, or its length depends on the calendar (`P1M`); says so.
    """
    if isinstance(value, str) and value.strip().upper().startswith("P"):
        duration = _iso(value.strip())
    else:
        number, own_unit = _number_and_unit(value)
        try:
            duration = timedelta(seconds=number * _seconds_per(own_unit or unit))
        except OverflowError:
            raise ValueError(f"the duration {value!r} is too long") from None
    if duration <= timedelta():
        raise ValueError(f"the duration {value!r} is not positive. {_EXAMPLES}")
    return duration


def _iso(text: str) -> timedelta:
    try:
        duration = isodate.parse_duration(text.upper())
    except (ISO8601Error, ValueError, OverflowError, ArithmeticError):
        raise ValueError(f"{text!r} is no ISO 8601 duration. {_EXAMPLES}") from None
    if isinstance(duration, timedelta):
        return duration
    raise ValueError(f"{text!r} counts months or years, whose length depends on the calendar. Use days or hours.")


def _number_and_unit(value: object) -> tuple[float, str | None]:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value), None
    if isinstance(value, str) and (match := _NUMBER_AND_UNIT.fullmatch(value.strip())):
        return float(match["number"]), match["unit"] or None
    raise ValueError(f"{value!r} is no duration. {_EXAMPLES}")


def _seconds_per(unit: str | None) -> int:
    if unit is None:
        raise ValueError(f"a number needs a unit. {_EXAMPLES}")
    try:
        return _SECONDS[unit.strip().lower()]
    except KeyError:
        raise ValueError(f"the unit {unit!r} is not known; known are s, m, min, h, d, w, y.") from None


def parse_ratio(value: object, unit: str | None = None) -> float:
    """A share, 0 < ratio <= 1, from `99.9`, `"99.9%"`, or `0.999`.

    Without a percent sign or unit, a value up to 1 is a share and a greater one a percentage.

    Raises:
        ValueError: It is no such number; says so.
    """
    text = value.strip() if isinstance(value, str) else value
    percent = (unit or "").strip().lower() in {"%", "percent", "percentage"}
    if isinstance(text, str) and text.endswith("%"):
        text, percent = text[:-1].strip(), True
    try:
        number = float(text) if isinstance(text, (str, int, float)) and not isinstance(text, bool) else math.nan
    except ValueError:
        number = math.nan
    ratio = round(number / 100, 12) if percent or number > 1 else number
    if not 0 < ratio <= 1:  # also false for NaN
        raise ValueError(f"{value!r} is no availability. Write a percentage such as 99.9%.")
    return ratio
