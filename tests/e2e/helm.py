"""The real helm with the chart: renders, installs, upgrades, rolls back, removes."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.e2e.cluster.binaries import KUBERNETES_VERSION, program
from tests.e2e.cluster.client import Manifest
from tests.e2e.cluster.commands import run

CHART = Path(__file__).resolve().parents[2] / "charts" / "floe-injector"
RELEASE = "floe-injector"
RELEASE_NAMESPACE = "floe-system"
VALUES = Path(__file__).parent / "chart_values"
"""Values files, each of which asks for other parts of the chart."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Helm:
    """Helm with the rights of a kubeconfig, or without a cluster.

    Attributes:
        folder: Takes its configuration and the values that it is given.
        kubeconfig: None for what needs no cluster.
        namespace: The release's own, which has to exist.
    """

    folder: Path
    kubeconfig: Path | None = None
    release: str = RELEASE
    namespace: str = RELEASE_NAMESPACE

    def lint(self, *arguments: str) -> str:
        """What `helm lint` says."""
        return self("lint", str(CHART), "--strict", *arguments)

    def template(self, values: Values | Path | None = None, *arguments: str) -> list[Manifest]:
        """The objects of the release as `helm template` renders them, hooks and all."""
        options = [*self._values(values), "--kube-version", KUBERNETES_VERSION, "--namespace", self.namespace]
        text = self("template", self.release, str(CHART), *options, *arguments)
        return [document for document in YAML(typ="safe", pure=True).load_all(text) if document]

    def notes(self, values: Values | Path) -> str:
        """What people are told after installing."""
        options = ["--dry-run=client", "--namespace", self.namespace, *self._values(values)]
        return self("install", self.release, str(CHART), *options).partition("\nNOTES:\n")[2]

    def install(self, values: Values) -> None:
        """Installs the release and waits until it is ready."""
        self("install", self.release, str(CHART), *self._waiting(), *self._values(values))

    def upgrade(self, values: Values, *, wait: bool = True) -> None:
        """Changes the release; waits until it is ready if that is to be expected."""
        waiting = self._waiting() if wait else ["--namespace", self.namespace]
        self("upgrade", self.release, str(CHART), *waiting, *self._values(values))

    def rollback(self) -> None:
        """Goes back to the revision before and waits until it is ready."""
        self("rollback", self.release, *self._waiting())

    def test(self) -> str:
        """What `helm test` says."""
        return self("test", self.release, "--namespace", self.namespace, "--timeout", "60s")

    def uninstall(self) -> None:
        """Removes the release and waits until its objects are gone."""
        self("uninstall", self.release, *self._waiting())

    def __call__(self, *arguments: str) -> str:
        """The output of a command of helm.

        Raises:
            CommandError: It failed; the message has its last lines.
        """
        homes = {f"HELM_{kind}_HOME": str(self.folder / kind.lower()) for kind in ("CACHE", "CONFIG", "DATA")}
        kubeconfig = {"KUBECONFIG": str(self.kubeconfig or self.folder / "none")}
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        return run(
            [str(program("helm")), *arguments], environment=environment | homes | kubeconfig, timeout_seconds=300.0
        )

    def _waiting(self) -> list[str]:
        return ["--namespace", self.namespace, "--wait", "--timeout", "120s"]

    def _values(self, values: Values | Path | None) -> list[str]:
        if values is None:
            return []
        if isinstance(values, Path):
            return ["--values", str(values)]
        file = self.folder / "values.json"
        file.write_text(json.dumps(values), encoding="utf-8")
        return ["--values", str(file)]


class Renderings:
    """What `helm template` makes of values; each is rendered once, and not to be changed."""

    def __init__(self, helm: Helm) -> None:
        self._helm = helm
        self._made: dict[str, list[Manifest]] = {}

    def __call__(self, values: Values | Path | None = None) -> list[Manifest]:
        """The objects, hooks and all."""
        key = str(values) if isinstance(values, Path) else json.dumps(values or {}, sort_keys=True)
        if key not in self._made:
            self._made[key] = self._helm.template(values)
        return self._made[key]
