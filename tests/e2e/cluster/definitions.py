"""Kinds of well-known operators, as their Go modules define them, for an API server that has no such operator."""

from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster.binaries import module_folder, program
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.control_plane import Cluster


@dataclass(frozen=True, slots=True)
class Definitions:
    """CustomResourceDefinitions, where a Go module has them."""

    pinned_by: str
    """The folder under `go/` whose go.mod names the module and its version."""
    module: str
    folder: str
    files: tuple[str, ...]

    def paths(self) -> list[Path]:
        """The files; the module is fetched if it is not there yet."""
        root = module_folder(self.pinned_by, self.module) / self.folder
        return [root / name for name in self.files]


CERT_MANAGER_KINDS = Definitions(
    pinned_by="cert-manager",
    module="github.com/cert-manager/cert-manager",
    folder="deploy/crds",
    files=tuple(
        f"{name}.yaml"
        for name in (
            "acme.cert-manager.io_challenges",
            "acme.cert-manager.io_orders",
            "cert-manager.io_certificaterequests",
            "cert-manager.io_certificates",
            "cert-manager.io_clusterissuers",
            "cert-manager.io_issuers",
        )
    ),
)
PROMETHEUS_OPERATOR_KINDS = Definitions(
    pinned_by="prometheus-operator",
    module="github.com/prometheus-operator/prometheus-operator",
    folder="example/prometheus-operator-crd",
    files=tuple(f"monitoring.coreos.com_{name}.yaml" for name in ("podmonitors", "prometheusrules", "servicemonitors")),
)


def install(cluster: Cluster, definitions: Definitions) -> None:
    """Makes the API server know the kinds; returns when it does."""
    kubectl = [str(program("kubectl")), f"--kubeconfig={cluster.kubeconfig}"]
    files = [f"--filename={path}" for path in definitions.paths()]
    # Server-side: these documents are larger than the annotation in which a client would keep them.
    run([*kubectl, "apply", "--server-side", *files])
    run([*kubectl, "wait", "--for=condition=Established", "--timeout=60s", *files])
