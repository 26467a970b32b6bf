"""Which tests run side by side: those of the node in one process, all others in a second one.

There is one node at a time on a machine, and what a module shares (a release, programs) is made once. (pytest-xdist's
own groups would say it by a mark, but the release that is pinned does not find them with this pytest.)
"""

import re
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it comes without types

_ASKS_FOR_A_NODE = re.compile(r"\bnode: Node\b")


class NodeBesideControlPlane(LoadScopeScheduling):  # type: ignore[misc]  # see above
    """Two groups of modules, each of which stays with one process."""

    def _split_scope(self, nodeid: str) -> str:
        path = Path(str(self.config.rootpath), nodeid.partition("::")[0])
        return "node" if _ASKS_FOR_A_NODE.search(path.read_text(encoding="utf-8")) else "control plane"
