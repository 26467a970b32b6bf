"""What a node could leave on a machine: looked for where each part puts it."""

import json
from pathlib import Path

import psutil

from tests.e2e.cluster.binaries import NODE_BUILDS
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.network import foreign_chains
from tests.e2e.cluster.node import STATE


def traces_of_a_node() -> list[str]:
    """Processes, mounts, interfaces, chains, cgroups and folders of a node, each as a line that a person can read."""
    programs = {program for build in NODE_BUILDS for program in build.programs}
    processes = [
        f"process {one.name()} {one.pid}"
        for one in psutil.process_iter()
        if one.name() in {name[:15] for name in programs}
    ]
    mounts = [
        f"mount {line.split()[4]}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4].startswith(str(STATE))
    ]
    interfaces = [
        f"interface {one['ifname']}"
        for one in json.loads(run(["ip", "-json", "link"]))
        if one["ifname"].startswith(("veth", "floe-e2e"))
    ]
    chains = [f"chain {name}" for name in foreign_chains()]
    cgroups = [f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob("*/kubepods")]
    folders = [f"folder {STATE}"] if STATE.exists() else []
    return [*processes, *mounts, *interfaces, *chains, *cgroups, *folders]
