"""A file that holds a namespace's token and follows the gateway's keys, for a pod that must not see the keys.

It runs in a container of its own beside the one that reads the file: who has the keys can make every token. The file is
swapped, never half written; while there are no usable keys the last token stays.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from floe_sidecar.tokens import issue, keys_of, problem_of

LOOK_SECONDS = 10.0
"""Between two looks at the keys; the kubelet takes up to a minute and a half to bring new ones."""


def keep(
    keys: Path, file: Path, namespace: str, *, is_over: Callable[[float], bool], complain: Callable[[str], object]
) -> None:
    """Renews the file until it is over.

    Args:
        keys: The gateway's.
        file: Gets the token.
        namespace: Whose token it is.
        is_over: Waits for so many seconds, or less if this has to end; says whether it has.
        complain: Told why there is no new token, once for each reason.
    """
    told = ""
    while True:
        problem = renew(keys, file, namespace)
        if problem and problem != told:
            complain(problem)
        told = problem
        if is_over(LOOK_SECONDS):
            return


def renew(keys: Path, file: Path, namespace: str) -> str:
    """Writes the token of the first key, if the file holds another one; says why it cannot, empty if it can."""
    try:
        text = keys.read_text(encoding="utf-8")
        if problem := problem_of(text):
            return f"{keys} cannot be used: {problem}"
        token = issue(keys_of(text)[0], namespace)
        if not file.exists() or file.read_text(encoding="utf-8") != token:
            beside = file.with_name(f".{file.name}")
            beside.write_text(token, encoding="utf-8")
            beside.replace(file)
    except (OSError, UnicodeDecodeError) as error:
        return f"{getattr(error, 'filename', None) or keys}: {getattr(error, 'strerror', None) or 'no text'}"
    return ""
