"""containerd with runc: a container runtime of the node's own, and the containers that would outlive it."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.e2e.cluster.binaries import program
from tests.e2e.cluster.commands import run, with_system_path
from tests.e2e.cluster.debian import CNI_FOLDER
from tests.e2e.cluster.processes import ProcessError, running

PAUSE_IMAGE = "e2e.local/pause:1"
_OPEN_FILES = {"type": "RLIMIT_NOFILE", "hard": 4096, "soft": 1024}
_END_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Containerd:
    """A running containerd."""

    socket: Path

    def load(self, archive: Path) -> None:
        """Makes the image of a docker-archive one that pods can name; reading it takes seconds, so it is done once."""
        loaded = self.socket.with_name(f"{archive.name}.loaded")
        if not loaded.exists():
            self.ctr("images", "import", str(archive), timeout_seconds=300.0)
            loaded.touch()

    def images(self) -> list[str]:
        """The names of the images that pods can use."""
        return self.ctr("images", "ls", "-q").split()

    def running(self) -> list[str]:
        """The ids of containers that run, sandboxes included."""
        return self.ctr("tasks", "ls", "-q").split()

    def ctr(self, *arguments: str, timeout_seconds: float = 60.0) -> str:
        """What containerd's own client says of the namespace that Kubernetes uses."""
        command = [str(program("ctr")), "-a", str(self.socket), "-n", "k8s.io", *arguments]
        return run(command, timeout_seconds=timeout_seconds)


@contextmanager
def containerd(folder: Path, state: Path, cni: Path) -> Iterator[Containerd]:
    """A containerd that answers.

    Args:
        folder: Takes its log and configuration.
        state: Takes its images and containers; on a real disk.
        cni: The folder with the network's configuration.
    """
    socket = state / "containerd.sock"
    configuration = folder / "containerd.toml"
    configuration.write_text(_configuration(socket, state, cni, _runtime_spec(folder)))
    runtime = Containerd(socket)
    environment = with_system_path()
    # The shim stands beside containerd, and is found on PATH.
    environment["PATH"] = f"{program('containerd').parent}{os.pathsep}{environment['PATH']}"
    command = [str(program("containerd")), "--config", str(configuration)]
    with running("containerd", command, log=folder / "containerd.log", environment=environment) as process:
        try:
            process.wait_until(lambda: _answers(runtime), "answering")
            yield runtime
        finally:
            end_containers(state)


def end_containers(state: Path) -> None:
    """Ends the shims of a containerd whose state is there, with everything that runs under them."""
    address = str(state / "containerd.sock")
    shims = [
        process
        for process in psutil.process_iter(["cmdline"])
        if (process.info["cmdline"] or [""])[0].endswith("containerd-shim-runc-v2")
        and address in process.info["cmdline"]
    ]
    family = [member for shim in shims for member in (*_descendants(shim), shim)]
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(family, timeout=_END_SECONDS)
    if alive:
        raise ProcessError(f"containers' processes {[member.pid for member in alive]} did not end after KILL")


def _descendants(shim: psutil.Process) -> list[psutil.Process]:
    try:
        return shim.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _answers(runtime: Containerd) -> bool:
    if not runtime.socket.exists():
        return False
    runtime.ctr("version")
    return True


def _runtime_spec(folder: Path) -> Path:
    """Containerd's own specification with a limit of open files that a machine without rights to raise it allows."""
    specification = json.loads(run([str(program("ctr")), "oci", "spec"]))
    specification["process"]["rlimits"] = [_OPEN_FILES]
    path = folder / "runtime-spec.json"
    path.write_text(json.dumps(specification))
    return path


def _configuration(socket: Path, state: Path, cni: Path, runtime_spec: Path) -> str:
    runc = shutil.which("runc", path=with_system_path()["PATH"])
    return f"""\
version = 3
root = "{state}/containerd"
state = "{state}/run"
oom_score = 0
disabled_plugins = ["io.containerd.nri.v1.nri"]

[grpc]
address = "{socket}"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
disable_apparmor = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{CNI_FOLDER}"]
conf_dir = "{cni}"

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
base_runtime_spec = "{runtime_spec}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false
"""
