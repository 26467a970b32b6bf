"""Every rule of the house is a contract of import-linter; a contract that cannot break proves nothing."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACTS = {
    contract["id"]: contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
}

# Where each rule is broken, and how: one import is enough.
PLANTED = {
    "core-imports-no-room": ("core", "floe_core/planted.py", "import floe_webhook"),
    "plugins-import-core-only": (
        "plugins/floe-telemetry-jaeger",
        "floe_telemetry_jaeger/planted.py",
        "import floe_lineage_marquez",
    ),
    "plugins-import-no-room": (
        "plugins/floe-lineage-marquez",
        "floe_lineage_marquez/planted.py",
        "import floe_monitor",
    ),
    "webhook-and-monitor-apart": ("monitor", "floe_monitor/planted.py", "import floe_webhook"),
    "rooms-import-no-plugin": ("webhook", "floe_webhook/planted.py", "import floe_telemetry_jaeger"),
    "certs-is-a-library": ("certs", "floe_certs/planted.py", "import floe_core"),
    "sidecar-is-lean": ("sidecar", "floe_sidecar/planted.py", "import pydantic"),
    "sidecar-lends-its-settings-only": ("webhook", "floe_webhook/planted_too.py", "import floe_sidecar.spool"),
    "webhook-core-is-pure": ("webhook", "floe_webhook/decision.py", "import time"),
    "checks-are-pure": ("monitor", "floe_monitor/checks/planted.py", "import sqlalchemy"),
}

pytestmark = pytest.mark.requirement("HOUSE-1")


def lint(folders: list[Path]) -> dict[str, bool]:
    """Each contract's name with whether it is kept, by the linter over copies of the rooms."""
    answer = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders)), "COLUMNS": "300", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = dict(re.findall(r"^(.+?) (KEPT|BROKEN)\b", answer.stdout, re.MULTILINE))
    assert verdicts, answer.stdout + answer.stderr
    return {name: verdict == "KEPT" for name, verdict in verdicts.items()}


@pytest.fixture
def copies(tmp_path: Path) -> list[Path]:
    """The sources of all rooms, to be broken."""
    folders: list[Path] = []
    for source in [*ROOT.glob("*/src"), *ROOT.glob("plugins/*/src")]:
        folder = tmp_path / source.relative_to(ROOT)
        shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__"))
        folders.append(folder)
    return folders


def test_every_contract_has_a_planted_breach() -> None:
    assert set(PLANTED) == set(CONTRACTS)


def test_every_contract_is_kept_by_the_rooms_and_broken_by_its_breach(copies: list[Path], tmp_path: Path) -> None:
    assert lint(copies) == dict.fromkeys(CONTRACTS.values(), True)

    for room, module, breach in PLANTED.values():
        path = tmp_path / room / "src" / module
        existing = path.read_text() if path.exists() else ""
        path.write_text(f"{existing}\n{breach}\n")

    assert lint(copies) == dict.fromkeys(CONTRACTS.values(), False)
