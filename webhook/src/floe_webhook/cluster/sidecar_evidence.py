"""Whether trouble with the sidecar's image is the image's or a namespace's own, by what pods in namespaces show. Pure.

Whom trouble concerns; "elsewhere" is in a namespace without trouble:

| in trouble                   | the sidecar was seen to run                  | environment only in   |
|------------------------------|----------------------------------------------|-----------------------|
| no namespace                 | wherever                                     | no namespace          |
| one or two                   | nowhere                                      | every namespace       |
| one or two                   | anywhere, at any time                        | those in trouble      |
| `SEVERAL_NAMESPACES` or more | elsewhere, in a pod as new as one in trouble | those in trouble      |
| `SEVERAL_NAMESPACES` or more | only otherwise, or nowhere                   | every namespace       |

So a wrong digest, which runs nowhere, concerns all with the first pod; a namespace that cannot pull concerns itself;
and an image that is gone from its registry concerns all, although pods run that have pulled it before. A namespace in
which there was trouble while a probe pod showed that the image starts has trouble of its own, and is no longer counted
among the several.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

SEVERAL_NAMESPACES = 3
"""Trouble in so many at once is the image's, unless it is seen to start elsewhere meanwhile."""


def concerns_all(troubles: Mapping[str, str], runs: Mapping[str, str], own: AbstractSet[str] = frozenset()) -> bool:
    """Whether pods of every namespace get environment only.

    Args:
        troubles: By namespace, when the newest pod in trouble was created, as the API server writes times.
        runs: By namespace, when the newest pod was created whose sidecar was seen to run.
        own: Namespaces that have been in trouble while the image was known to start.
    """
    if not troubles:
        return False
    counted = {namespace: created for namespace, created in troubles.items() if namespace not in own}
    if len(counted) < SEVERAL_NAMESPACES:
        return not runs
    first = min(counted.values())
    return not any(created >= first for namespace, created in runs.items() if namespace not in troubles)
