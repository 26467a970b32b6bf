"""Takes promises that ODCS's model refuses out of a document, so that the others can be read (pure).

A promise is one quality rule or one service level; one custom property is treated alike. Whatever else is wrong is the
contract's own fault and stays in.
"""

import copy
from collections.abc import Sequence
from typing import Any, Final

import pydantic
from open_data_contract_standard.model import OpenDataContractStandard

from floe_core.manifest.document import Document, KeyPath
from floe_core.manifest.problems import KeyProblem, problems_in

# Stands where a refused rule stood, so that the places of the others stay what they are.
REFUSED: Final = "refused"
_QUALITY: Final = "quality"
_LISTS: Final = frozenset({"slaProperties", "customProperties"})


def promise_at(path: KeyPath) -> KeyPath | None:
    """The path of the promise that a path leads into; None if it leads to anything else."""
    if path and path[0] in _LISTS:
        return path[:2]
    if path[:1] == ("schema",) and _QUALITY in path:
        # One rule, or the whole list where it is none.
        return path[: path.index(_QUALITY) + 2]
    return None


def modelled(document: Document) -> tuple[OpenDataContractStandard, tuple[KeyProblem, ...]]:
    """The document as ODCS's model takes it, and what is wrong with the promises that had to be left out.

    Raises:
        pydantic.ValidationError: Something else than a promise is wrong; it has everything that is.
    """
    try:
        return OpenDataContractStandard.model_validate(document.content), ()
    except pydantic.ValidationError as error:
        problems = problems_in(error, OpenDataContractStandard)
        found = [promise_at(problem.path) for problem in problems]
        promises = [promise for promise in found if promise is not None]
        if len(promises) < len(found):
            raise
    return OpenDataContractStandard.model_validate(_without(document.content, promises)), problems


def _without(content: dict[str, Any], promises: Sequence[KeyPath]) -> dict[str, Any]:
    pruned = copy.deepcopy(content)
    for promise in promises:
        owner: Any = pruned
        for key in promise[:-1]:
            owner = owner[key]
        is_entry = isinstance(promise[-1], int)
        owner[promise[-1]] = ({"type": REFUSED} if _QUALITY in promise else {"property": REFUSED}) if is_entry else []
    return pruned
