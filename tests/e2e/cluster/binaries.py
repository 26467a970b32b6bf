"""The programs of the test bed, built from Go modules once per version and cached outside the tree.

`program("kube-apiserver")` gives the path of a binary that is there; the first call builds it. A cached build is named
by its version and by a digest of everything that it is made from (`go/<name>/`), appears by one atomic rename, and is
made under a lock, so that two runs share one build. Nothing is installed: a missing or old Go is told, with the remedy.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster.locking import locked
from tests.e2e.cluster.progress import say

MINIMUM_GO = (1, 26)
BUILD_TIMEOUT_SECONDS = 3600
_MODULES = Path(__file__).parent / "go"


class MissingToolError(Exception):
    """A tool that the test bed needs is missing or too old; the message says what to install."""


class BuildError(Exception):
    """A build failed; the message ends with the compiler's last lines."""


@dataclass(frozen=True, slots=True)
class Build:
    """One or more programs that are built together from a module under `go/`."""

    name: str
    version: str
    programs: tuple[str, ...]
    modules: tuple[str, ...]
    """The folders under `go/` that decide what is built."""
    compile: Callable[[Path], None]
    """Puts every program into the folder that it is given."""

    @property
    def key(self) -> str:
        """The cached folder's name: another version or another pinned dependency gives another one."""
        digest = hashlib.sha256()
        for module in self.modules:
            for file in sorted((_MODULES / module).iterdir()):
                digest.update(f"{module}/{file.name}\0".encode() + file.read_bytes() + b"\0")
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"


def program(name: str) -> Path:
    """The path of a program, which is built now if no earlier run has built it.

    Raises:
        MissingToolError: There is no Go of the version that is needed.
        BuildError: It does not compile, or a module cannot be fetched.
    """
    for build in BUILDS:
        if name in build.programs:
            return ensure(build) / name
    known = ", ".join(name for build in BUILDS for name in build.programs)
    raise KeyError(f"the test bed builds no program {name!r}; it knows {known}")


def ensure(build: Build) -> Path:
    """The folder that holds a build's programs; see `program`."""
    root = cache_folder()
    result = root / build.key
    if result.is_dir():
        return result
    require_go()
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / f"{build.name}.lock", build.name):
        if not result.is_dir():
            _build_into(build, result)
    return result


def module_folder(pinned_by: str, module: str) -> Path:
    """The files of a Go module as it was published, which is fetched now if Go has not got it.

    Args:
        pinned_by: The folder under `go/` whose go.mod names its version.
        module: Its path.

    Raises:
        MissingToolError: There is no Go of the version that is needed.
        BuildError: It cannot be fetched.
    """
    require_go()
    return Path(json.loads(_run(["go", "mod", "download", "-json", module], _MODULES / pinned_by))["Dir"])


def cache_folder() -> Path:
    """Where builds are kept: `$XDG_CACHE_HOME/floe-injector/e2e`, by default under `~/.cache`."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    # XDG base directory specification: a relative path is invalid and ignored.
    base = Path(configured) if Path(configured).is_absolute() else Path.home() / ".cache"
    return base / "floe-injector" / "e2e"


def require_go() -> None:
    """Checks that Go is there and recent enough.

    Raises:
        MissingToolError: It is not; the message says what to install.
    """
    remedy = (
        f"Install Go {MINIMUM_GO[0]}.{MINIMUM_GO[1]} or newer (the Go project's archive unpacked into /usr/local/go,"
        " or your distribution's golang package if it is that new), put its bin folder on PATH, and start again."
    )
    if shutil.which("go") is None:
        raise MissingToolError(
            f"The end-to-end tests build Kubernetes and a Collector with Go; no `go` is on PATH. {remedy}"
        )
    answer = _run(["go", "env", "GOVERSION"], Path.cwd(), timeout_seconds=60).strip()
    version = re.match(r"go(\d+)\.(\d+)", answer)
    if version is None or (int(version[1]), int(version[2])) < MINIMUM_GO:
        raise MissingToolError(f"The end-to-end tests need a newer Go; `go env GOVERSION` says {answer!r}. {remedy}")


def _build_into(build: Build, result: Path) -> None:
    say(f"building {', '.join(build.programs)} {build.version} (once; cached in {result.parent}) …")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f".{build.name}-", dir=result.parent) as work:
        programs = Path(work) / "bin"
        programs.mkdir()
        build.compile(programs)
        missing = [name for name in build.programs if not os.access(programs / name, os.X_OK)]
        if missing:
            raise BuildError(f"the build of {build.name} left no {', '.join(missing)}")
        programs.rename(result)
    say(f"built {', '.join(build.programs)} in {time.monotonic() - started:.0f} s")


def _go_build(module: str, packages: tuple[str, ...], ldflags: str = "-s -w", tags: str = "") -> Callable[[Path], None]:
    def compile_into(folder: Path) -> None:
        options = ["-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags", ldflags, "-tags", tags]
        _run(["go", "build", *options, "-o", f"{folder}/", *packages], _MODULES / module)

    return compile_into


def _compile_etcd(folder: Path) -> None:
    _go_build("etcd", ("go.etcd.io/etcd/server/v3",))(folder)
    (folder / "server").rename(folder / "etcd")  # Go names it after the package's folder


def _compile_collector(folder: Path) -> None:
    _go_build("collector-builder", ("go.opentelemetry.io/collector/cmd/builder",))(folder.parent)
    sources = folder.parent / "otelcol"
    shutil.copytree(_MODULES / "otelcol", sources)
    # With --skip-get-modules the builder keeps the go.mod and go.sum beside it: every dependency stays pinned.
    _run([str(folder.parent / "builder"), "--config", "builder.yaml", "--skip-get-modules"], sources)
    (sources / "otelcol").rename(folder / "otelcol")


def _stamps(version: str) -> str:
    """Linker flags that make Kubernetes say its version; without them clients and charts cannot use its answer."""
    major, minor, _ = version.split(".")
    package = "k8s.io/component-base/version"
    return f"-s -w -X {package}.gitVersion=v{version} -X {package}.gitMajor={major} -X {package}.gitMinor={minor}"


def _run(command: list[str], folder: Path, timeout_seconds: float = BUILD_TIMEOUT_SECONDS) -> str:
    """The output of a command of the user's Go, which keeps its own proxy, checksum database and caches."""
    own_flags = os.environ.get("GOFLAGS", "")
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",  # static programs: they run on whatever C library there is
        "GOWORK": "off",
        "GOFLAGS": f"{own_flags} -mod=readonly".strip(),  # for the Collector's builder, which takes no such option
    }
    ran = subprocess.run(
        ["nice", "-n", "15", *command],  # noqa: S607 - the user's own tools are wanted
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    if ran.returncode != 0:
        last = "\n".join(ran.stdout.splitlines()[-40:])
        raise BuildError(f"`{' '.join(command)}` in {folder} ended with {ran.returncode}:\n{last}")
    return ran.stdout


KUBERNETES_VERSION = "1.36.3"

KUBERNETES = Build(
    name="kubernetes",
    version=KUBERNETES_VERSION,
    programs=("kube-apiserver", "kubectl"),
    modules=("kubernetes",),
    compile=_go_build(
        "kubernetes",
        ("k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl"),
        _stamps(KUBERNETES_VERSION),
    ),
)
OLDER_KUBERNETES_VERSION = "1.30.14"
OLDER_KUBERNETES = Build(
    name="kubernetes-older",
    version=OLDER_KUBERNETES_VERSION,
    programs=("kube-apiserver",),
    modules=("kubernetes-1.30",),
    compile=_go_build(
        "kubernetes-1.30",
        ("k8s.io/kubernetes/cmd/kube-apiserver",),
        _stamps(OLDER_KUBERNETES_VERSION),
        tags="providerless",  # without the clouds' clients, which were still part of it
    ),
)
"""For what the newer one can no longer do: 1.36 has native sidecars whether one wants them or not."""
ETCD = Build(name="etcd", version="3.7.3", programs=("etcd",), modules=("etcd",), compile=_compile_etcd)
COLLECTOR = Build(
    name="otelcol",
    version="0.155.0",
    programs=("otelcol",),
    modules=("otelcol", "collector-builder"),
    compile=_compile_collector,
)
KUBERNETES_NODE = Build(
    name="kubernetes-node",
    version=KUBERNETES_VERSION,
    programs=("kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy"),
    modules=("kubernetes",),
    compile=_go_build(
        "kubernetes",
        (
            "k8s.io/kubernetes/cmd/kubelet",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-scheduler",
            "k8s.io/kubernetes/cmd/kube-proxy",
        ),
        _stamps(KUBERNETES_VERSION),
    ),
)
CONTAINERD = Build(
    name="containerd",
    version="2.4.2",
    programs=("containerd", "containerd-shim-runc-v2", "ctr"),
    modules=("containerd",),
    compile=_go_build(
        "containerd",
        (
            "github.com/containerd/containerd/v2/cmd/containerd",
            "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
            "github.com/containerd/containerd/v2/cmd/ctr",
        ),
        tags="no_btrfs,no_zfs,no_devmapper",  # they need C libraries, and a test node needs overlayfs only
    ),
)
COREDNS = Build(
    name="coredns",
    version="1.15.0",
    programs=("coredns",),
    modules=("coredns",),
    compile=_go_build("coredns", ("github.com/coredns/coredns",)),
)
JAEGER = Build(
    name="jaeger",
    version="1.76.0",
    programs=("all-in-one",),
    modules=("jaeger",),
    compile=_go_build("jaeger", ("github.com/jaegertracing/jaeger/cmd/all-in-one",)),
)
HELM_VERSION = "4.3.1"
HELM = Build(
    name="helm",
    version=HELM_VERSION,
    programs=("helm",),
    modules=("helm",),
    compile=_go_build(
        "helm", ("helm.sh/helm/v4/cmd/helm",), f"-s -w -X helm.sh/helm/v4/internal/version.version=v{HELM_VERSION}"
    ),
)
PAUSE = Build(name="pause", version="1", programs=("pause",), modules=("pause",), compile=_go_build("pause", (".",)))

CERT_MANAGER = Build(
    name="cert-manager",
    version="1.21.2",
    programs=("cert-manager",),
    modules=("cert-manager",),
    compile=_go_build("cert-manager", (".",)),
)

CONTROL_PLANE_BUILDS = (ETCD, KUBERNETES)
NODE_BUILDS = (KUBERNETES_NODE, CONTAINERD, COREDNS, PAUSE)
BUILDS = (*CONTROL_PLANE_BUILDS, COLLECTOR, *NODE_BUILDS, JAEGER, OLDER_KUBERNETES, HELM, CERT_MANAGER)
"""Every build of the test bed; more of a cluster's parts are more entries here."""
