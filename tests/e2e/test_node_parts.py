"""Parts of a node that can be judged without one: what is removed from iptables, written back, and found missing."""

import os
from pathlib import Path

import pytest

from tests.e2e.cluster import debian
from tests.e2e.cluster.binaries import MissingToolError
from tests.e2e.cluster.debian import PROGRAMS, missing_packages, require_packages
from tests.e2e.cluster.network import removal_of_chains
from tests.e2e.cluster.system import kept_settings

pytestmark = pytest.mark.requirement("CC-6.1")

SAVED = """\
*nat
:PREROUTING ACCEPT [5:300]
:DOCKER - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-ABC - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -j DOCKER
-A KUBE-SERVICES -d 10.96.0.1/32 -j KUBE-SVC-ABC
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -p tcp -j ACCEPT
COMMIT
"""


def test_a_nodes_chains_and_the_rules_that_lead_there_are_removed_and_nobody_elses() -> None:
    assert removal_of_chains(SAVED).splitlines() == [
        "*nat",
        ":KUBE-SERVICES - [0:0]",
        ":KUBE-SVC-ABC - [0:0]",
        '-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        "-X KUBE-SERVICES",
        "-X KUBE-SVC-ABC",
        "COMMIT",
    ]


def test_a_machine_without_a_node_loses_nothing() -> None:
    assert removal_of_chains("*nat\n:DOCKER - [0:0]\n-A PREROUTING -j DOCKER\nCOMMIT\n") == ""


def test_kernel_settings_stand_as_before_even_after_a_failure(tmp_path: Path) -> None:
    (tmp_path / "panic").write_text("0\n")

    def failing() -> None:
        with kept_settings(["panic", "unknown"], tmp_path):
            (tmp_path / "panic").write_text("10\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()

    assert (tmp_path / "panic").read_text() == "0\n"


def test_missing_programs_are_told_with_the_line_that_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "PROGRAMS", {**PROGRAMS, "no-such-program": "no-such-package"})
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    known = set(missing_packages()) - {"no-such-package"}

    with pytest.raises(MissingToolError, match=r"apt-get install --no-install-recommends .*no-such-package") as raised:
        require_packages()

    assert all(package in str(raised.value) for package in known)


def test_root_gets_what_is_missing_installed_and_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "late"
    monkeypatch.setattr(debian, "PROGRAMS", {str(program): "late-package"})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "apt-get").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    installed: list[str] = []

    def install(packages: list[str]) -> None:
        installed.extend(packages)
        program.touch(mode=0o755)

    require_packages(install)

    assert installed == ["late-package"]
    assert "apt-get install --no-install-recommends late-package" in capsys.readouterr().err
