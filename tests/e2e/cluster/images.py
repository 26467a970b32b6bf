"""Images without a registry: the base from the distribution's packages, ours from the real Dockerfiles.

An image is kept as an archive in the cache, named by a digest of everything that it is made from; a second run loads
the file. buildah's own storage, with its layers, is in the cache too, so that a changed room installs nothing again.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.e2e.cluster.binaries import cache_folder, program
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.containerd import PAUSE_IMAGE
from tests.e2e.cluster.locking import locked
from tests.e2e.cluster.progress import say
from tools.image_requirements import ROOT, rooms_of

BASE_IMAGE = "e2e.local/base:1"
"""Debian with Python, for test pods; ours are built on it."""

_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")
_BASE_RECIPE = f"debootstrap minbase {_SUITE} {_PACKAGES} without {_UNUSED}"
_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP_CONFIGURATION = Path("/etc/pip.conf")
_BUILD_SECONDS = 1800.0


def image_name(image: str) -> str:
    """Under which name pods find one of our images, e.g. `sidecar`."""
    return f"e2e.local/floe-{image}:1"


def base_archive() -> Path:
    """The base image; made now if no earlier run has made it."""
    archive = _archives() / f"base-{_digest([_BASE_RECIPE.encode()])}.tar"
    with locked(archive.parent / "images.lock", "images"):
        if not archive.exists():
            say(f"making the base image of {_SUITE} (once; cached in {archive.parent}) …")
            _make_base()
            _push(_local("base"), BASE_IMAGE, archive)
    return archive


def archive_of(image: str) -> Path:
    """One of our images, built from `Dockerfile.<image>`; made now if what it is made from has changed."""
    base = base_archive()
    archive = _archives() / f"{image}-{_digest(_inputs(image, base))}.tar"
    with locked(archive.parent / "images.lock", "images"):
        if not archive.exists():
            say(f"building the image of the {image} …")
            build(image, _local(image))
            _forget(archive.parent.glob(f"{image}-*.tar"))
            _push(_local(image), image_name(image), archive)
    return archive


def build(image: str, name: str, *, layers: bool = True) -> str:
    """Builds a Dockerfile into buildah's storage; gives the image's id.

    Args:
        image: Which one, e.g. `sidecar`.
        name: What to call it there.
        layers: Whether to take what an earlier build left.
    """
    mounts = [f"{file}:{file}:ro" for file in (_CA_BUNDLE, _PIP_CONFIGURATION) if file.is_file()]
    return _buildah(
        "bud",
        "--quiet",
        "--force-rm",  # a build that fails leaves no container, whose mount would stay
        f"--layers={str(layers).lower()}",
        "--isolation=chroot",  # no container runtime is needed to build
        "--network=host",
        "--timestamp=0",  # two builds are the same, byte for byte
        "--pull-never",
        *(f"--volume={mount}" for mount in mounts),
        f"--build-arg=BASE={_local('base')}",
        f"--file={ROOT / f'Dockerfile.{image}'}",
        f"--tag={name}",
        str(ROOT),
    ).strip()


def layers_of(name: str) -> list[str]:
    """The digests of an image's layers, from the base's up."""
    document = json.loads(_buildah("inspect", "--type=image", name))
    layers: list[str] = document["OCIv1"]["rootfs"]["diff_ids"]
    return layers


def pause_archive(folder: Path) -> Path:
    """The image that holds a pod's namespaces: one static program, so its archive is written here, without buildah."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        _add(files, "pause", program("pause").read_bytes(), mode=0o755)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    configuration = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    archive = folder / "pause.tar"
    with tarfile.open(archive, "w") as parts:
        _add(parts, "layer.tar", layer.getvalue())
        _add(parts, "config.json", configuration)
        _add(parts, "manifest.json", json.dumps(manifest).encode())
    return archive


def _make_base() -> None:
    with tempfile.TemporaryDirectory(prefix=".base-", dir=_archives()) as work:
        root = Path(work) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _SUITE, str(root)]
        run(["nice", "-n", "15", *command], timeout_seconds=_BUILD_SECONDS)
        for folder in _UNUSED:
            shutil.rmtree(root / folder)
            (root / folder).mkdir()
        container = _buildah("from", "scratch").strip()
        _buildah("copy", "--quiet", container, str(root), "/")
        _buildah("commit", "--quiet", "--rm", container, _local("base"))


def _push(name: str, reference: str, archive: Path) -> None:
    """Writes an image as a docker-archive; the OCI form is garbage-collected from the CRI's store."""
    unfinished = archive.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    _buildah("push", "--quiet", name, f"docker-archive:{unfinished}:{reference}")
    unfinished.rename(archive)


def _buildah(*arguments: str) -> str:
    storage = cache_folder() / "buildah"
    options = [f"--root={storage / 'root'}", f"--runroot={storage / 'run'}"]
    return run(["nice", "-n", "15", "buildah", *options, *arguments], timeout_seconds=_BUILD_SECONDS)


def _inputs(image: str, base: Path) -> Iterable[bytes]:
    yield base.name.encode()
    files = [ROOT / f"Dockerfile.{image}", ROOT / ".dockerignore"]
    files += [ROOT / "requirements" / "images" / f"{name}.lock" for name in (image, "build")]
    for room in rooms_of(image):
        sources = [path for path in (room / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        files += [room / "pyproject.toml", *sorted(sources)]
    for file in files:
        yield f"\0{file.relative_to(ROOT)}\0".encode() + file.read_bytes()


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:12]


def _archives() -> Path:
    folder = cache_folder() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _local(image: str) -> str:
    return f"localhost/floe-{image}:e2e"


def _forget(archives: Iterable[Path]) -> None:
    for archive in archives:
        archive.unlink()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
