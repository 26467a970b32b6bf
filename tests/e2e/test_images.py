"""Our images as they are: what is in them, who they run as, and that two builds are one."""

import json
import os
from pathlib import Path

import pytest

from tests.e2e.admission import create_namespace
from tests.e2e.cluster import images
from tests.e2e.cluster.node import Node
from tests.e2e.workloads import end_of, job, log_of, python, run_job
from tools.image_requirements import ROOMS, rooms_of

pytestmark = [pytest.mark.e2e, pytest.mark.requirement("HOUSE-1")]

_LOOK = """\
import importlib.metadata, json, os, shutil, sys
try:
    open("/opt/floe/x", "w")
    writable = True
except OSError:
    writable = False
distributions = sorted(one.name for one in importlib.metadata.distributions())
installed = {one.name.lower().replace("_", "-"): one.version for one in importlib.metadata.distributions()}
bill = json.load(open("/opt/floe/sbom.cdx.json"))
root = bill["metadata"]["component"]
listed = {one["name"].lower().replace("_", "-"): one["version"] for one in [root, *bill["components"]]}
print(json.dumps({
    "rooms": [name for name in distributions if name.startswith("floe-")],
    "tools": [name for name in ("cc", "gcc", "make", "pip", "pip3") if shutil.which(name)]
        + [name for name in distributions if name in ("pip", "hatchling", "pytest", "setuptools")],
    "user": os.getuid(),
    "writable": writable,
    "bill": [bill["bomFormat"], root["name"], sorted(installed.items() ^ listed.items())],
}))
"""


@pytest.mark.parametrize("image", ROOMS)
def test_an_image_holds_its_rooms_and_neither_compiler_nor_installer(image: str, node: Node) -> None:
    node.runtime.load(images.archive_of(image))
    container = python("look", _LOOK, image=images.image_name(image))
    container["securityContext"] = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,  # the kubelet refuses an image whose user is root, or none that it can tell
    }

    with node.cluster.client() as client:
        home = create_namespace(client, {})
        pod = run_job(client, job(home, {"containers": [container]}))
        said = log_of(client, pod, "look")
        client.delete(home.manifest)

    assert end_of(pod, "look")["exitCode"] == 0, said
    assert json.loads(said) == {
        "rooms": [room.name if room.name.startswith("floe-") else f"floe-{room.name}" for room in _by_name(image)],
        "tools": [],
        "user": 65532,
        "writable": False,
        "bill": ["CycloneDX", f"floe-{image}", []],
    }


def _by_name(image: str) -> list[Path]:
    return sorted(rooms_of(image), key=lambda room: room.name.removeprefix("floe-"))


@pytest.mark.skipif(os.geteuid() != 0, reason="building without a container runtime needs root")
@pytest.mark.parametrize("image", ROOMS)
def test_two_builds_of_an_image_have_the_same_layers(image: str) -> None:
    first, second = images.layers_of_two_builds(image)

    assert first == second
