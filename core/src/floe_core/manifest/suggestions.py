"""The nearest known word to one that a person mistyped."""

from collections.abc import Iterable
from difflib import get_close_matches

_CUTOFF = 0.6


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """The question "Did you mean …?", or None where nothing known is near."""
    by_folded = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    near = get_close_matches(word.lower().replace("-", "_"), by_folded, n=1, cutoff=_CUTOFF)
    return f"Did you mean `{by_folded[near[0]]}`?" if near else None
