"""Kubernetes quantities (`250m`, `64Mi`, `1e3`), exactly: what a quota has left must not depend on rounding.

The grammar is that of apimachinery's resource.Quantity. The official Python client parses quantities too, but importing
it costs more memory than the whole webhook; tests compare the two.
"""

import re
from fractions import Fraction
from functools import lru_cache

_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,2})?", re.ASCII)
_DECIMAL = {"": 0, "n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}

# Quantities are caps and amounts of real machines; a longer text is not one, and a client may send any.
_LONGEST = 64


def quantity(value: object) -> Fraction | None:
    """A quantity as a number; None if it is none."""
    text = value if isinstance(value, str) else str(value)
    return _parsed(text) if len(text) <= _LONGEST else None


# A pod's containers have few different amounts, and so has a cluster.
@lru_cache(maxsize=1024)
def _parsed(text: str) -> Fraction | None:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, suffix = Fraction(match[1]), match[2] or ""
    if suffix in _BINARY:
        return number * (1 << _BINARY[suffix])
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    return number * Fraction(f"1e{exponent}")
