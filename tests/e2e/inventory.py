"""Everything that a cluster stores, over all API kinds, by name: what was not there before is what somebody left."""

from pathlib import Path

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.commands import run

TRACES = {"Event"}
"""The API server forgets them by itself after an hour."""

_LINE = r'{range .items[*]}{.kind}{" "}{.metadata.namespace}{"/"}{.metadata.name}{"\n"}{end}'


def everything(kubeconfig: Path) -> set[str]:
    """`Kind namespace/name` of each stored object of each kind that can be listed, but for `TRACES`."""
    kubectl = [str(program("kubectl")), f"--kubeconfig={kubeconfig}"]
    kinds = run([*kubectl, "api-resources", "--verbs=list", "--output=name"]).split()
    listed = run(
        [*kubectl, "get", ",".join(kinds), "--all-namespaces", "--ignore-not-found", f"--output=jsonpath={_LINE}"]
    )
    return {line for line in listed.splitlines() if line.split()[0] not in TRACES}
