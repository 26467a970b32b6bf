"""What a node takes from the distribution: checked for, and installed if we are root on a Debian that lacks it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.e2e.cluster.binaries import MissingToolError

CNI_FOLDER = Path("/usr/lib/cni")
"""Where Debian puts the CNI plugins."""

PROGRAMS: Mapping[str, str] = {
    "runc": "runc",
    str(CNI_FOLDER / "bridge"): "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
"""A program that stands for each package."""

_INSTALL_TIMEOUT_SECONDS = 900


def require_packages(install: Callable[[list[str]], None] | None = None) -> None:
    """Returns when every program is there.

    Raises:
        MissingToolError: One is missing and could not be installed; the message has the line that installs it.
    """
    if not (missing := missing_packages()):
        return
    line = f"apt-get install --no-install-recommends {' '.join(missing)}"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        sys.stderr.write(f"e2e: a node needs {', '.join(missing)}; we are root, so: {line}\n")
        (install or _apt_get)(missing)
        if not (missing := missing_packages()):
            return
    raise MissingToolError(f"A node needs programs that are not here; as root: {line}")


def missing_packages() -> list[str]:
    """Packages whose program is neither on PATH nor in the folders of a system's administrator."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return sorted(package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None)


def _apt_get(packages: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        ran = subprocess.run(
            ["apt-get", *command],  # noqa: S607 - the system's own
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_INSTALL_TIMEOUT_SECONDS,
            check=False,
        )
        if ran.returncode != 0:
            raise MissingToolError(
                f"`apt-get {' '.join(command)}` ended with {ran.returncode}:\n"
                + "\n".join(ran.stdout.splitlines()[-10:])
            )
