"""Where the demo plays: a folder that goes with it, free ports, the example manifest with local addresses."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from examples.demo.processes import free_port

EXAMPLES = Path(__file__).parents[1]
CONTRACTS = EXAMPLES / "contracts"


@dataclass(frozen=True, slots=True)
class Stage:
    """Folder and ports of one performance."""

    folder: Path
    webhook_port: int
    relay_port: int
    relay_health_port: int
    backend_port: int
    alerts_port: int
    monitor_port: int

    @property
    def manifest(self) -> Path:
        """The platform manifest with addresses of this machine."""
        return self.folder / "manifest.yaml"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that dbt builds and the monitor watches."""
        return self.folder / "warehouse.duckdb"

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port that somebody listens on during the demo."""
        return (
            self.webhook_port,
            self.relay_port,
            self.relay_health_port,
            self.backend_port,
            self.alerts_port,
            self.monitor_port,
        )


def set_stage(folder: Path) -> Stage:
    """Chooses ports and writes the manifest."""
    stage = Stage(folder, *(free_port() for _ in range(6)))
    yaml = YAML()
    manifest = yaml.load((EXAMPLES / "manifest.yaml").read_text())
    _localize(manifest, stage)
    with stage.manifest.open("w") as file:
        yaml.dump(manifest, file)
    return stage


def read_yaml(path: Path) -> Mapping[str, Any]:
    """The first document of a file, as plain mappings and lists."""
    document: Mapping[str, Any] = YAML(typ="safe").load(path.read_text())
    return document


def _localize(manifest: dict[str, Any], stage: Stage) -> None:
    plugins = manifest["plugins"]
    plugins["lineage_backend"]["config"]["url"] = f"http://127.0.0.1:{stage.backend_port}"
    for role in ("catalog", "compute"):
        plugins[role]["config"]["path"] = str(stage.warehouse)
    for channel in plugins["alert_channels"]:
        channel["config"]["url"] = f"http://127.0.0.1:{stage.alerts_port}/alerts"
    sidecar = manifest["injection"].setdefault("sidecar", {})
    sidecar.update(port=stage.relay_port, health_port=stage.relay_health_port)
    minutes = 1 / 60
    manifest["monitoring"]["check_intervals"] = {
        "freshness_minutes": minutes,
        "schema_drift_minutes": 60,
        "quality_minutes": 360,
        "availability_minutes": minutes,
    }
