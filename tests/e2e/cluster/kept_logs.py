"""Logs of containers, kept beyond their pods: the kubelet deletes them with a pod, at once."""

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import BufferedReader
from pathlib import Path

_LOOK_SECONDS = 0.2


@contextmanager
def kept_logs(source: Path, target: Path) -> Iterator[None]:
    """Writes every container's log into a folder when the block is left.

    A file is opened soon after it appears and read at the end: a file that is deleted meanwhile can still be read.

    Args:
        source: The kubelet's folder of logs: `<namespace>_<pod>_<uid>/<container>/<number>.log`.
        target: The folder that takes them.
    """
    over = threading.Event()
    with ExitStack() as opened:
        found: dict[Path, BufferedReader] = {}

        def look() -> None:
            # Unlike glob this passes over a folder that is deleted meanwhile.
            for folder, _, names in os.walk(source):
                for path in [Path(folder, name) for name in names if name.endswith(".log")]:
                    if path in found:
                        continue
                    with suppress(FileNotFoundError):  # deleted between the look and the opening
                        found[path] = opened.enter_context(path.open("rb"))

        def keep_looking() -> None:
            while not over.wait(_LOOK_SECONDS):
                look()

        thread = threading.Thread(target=keep_looking)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            look()
            for path, file in found.items():
                kept = target / path.relative_to(source)
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_bytes(file.read())
