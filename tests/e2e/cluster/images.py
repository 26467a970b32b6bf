"""Images without a registry: the base from the distribution's packages, ours from the real Dockerfiles.

An image is kept as an archive in the cache, named by a digest of everything that it is made from; a second run loads
the file.
"""

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.e2e.cluster.binaries import cache_folder, program
from tests.e2e.cluster.buildah import BUILD_SECONDS, Recipe, build, buildah, forget, layers_of, push
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.containerd import PAUSE_IMAGE
from tests.e2e.cluster.locking import locked
from tests.e2e.cluster.progress import say
from tools.image_requirements import FOLDER, LOCK, ROOT, part_of, rooms_of

BASE_IMAGE = "e2e.local/base:1"
"""Debian with Python, for test pods; ours are built on it."""
PIPELINE_IMAGE = "e2e.local/pipeline:1"
"""A data engineer's: dbt, the OpenLineage client, OpenTelemetry's SDK and a dbt project in `/pipeline`."""

_PIPELINE = Path(__file__).parent / "pipeline"
_PIPELINE_NEEDS = ("dbt-duckdb", "openlineage-dbt", "opentelemetry-exporter-otlp-proto-http", "opentelemetry-sdk")
_DBT_PROJECT = ROOT / "examples" / "dbt_project"

_SUITE = "bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")
_BASE_RECIPE = f"debootstrap minbase {_SUITE} {_PACKAGES} without {_UNUSED}"


def image_name(image: str) -> str:
    """Under which name pods find one of our images, e.g. `sidecar`."""
    return f"e2e.local/floe-{image}:1"


def base_archive() -> Path:
    """The base image; made now if no earlier run has made it."""
    archive = _archives() / f"base-{_digest([_BASE_RECIPE.encode()])}.tar"
    with locked(archive.parent / "base.lock", "the base image"):
        if not archive.exists():
            say(f"making the base image of {_SUITE} (once; cached in {archive.parent}) …")
            _make_base()
            push(_local("base"), BASE_IMAGE, archive)
    return archive


def archive_of(image: str) -> Path:
    """One of our images, built from `Dockerfile.<image>`; made now if what it is made from has changed."""
    return _archive(image, image_name(image), _inputs(image), lambda: build(_recipe(image), _local(image)))


def pipeline_archive() -> Path:
    """The image of test pods that run a data engineer's tools; made now if what it is made from has changed."""
    lock = part_of(LOCK.read_text(encoding="utf-8"), _PIPELINE_NEEDS)
    files = [_PIPELINE / "Dockerfile", *sorted(_DBT_PROJECT.rglob("*"))]
    inputs = [lock.encode(), *_named(file for file in files if file.is_file())]

    def make() -> None:
        with tempfile.TemporaryDirectory(prefix="floe-pipeline-") as work:
            context = Path(work)
            (context / "pipeline.lock").write_text(lock, encoding="utf-8")
            shutil.copytree(_DBT_PROJECT, context / "dbt_project")
            build(Recipe(_PIPELINE / "Dockerfile", context, {"BASE": _local("base")}), _local("pipeline"))

    return _archive("pipeline", PIPELINE_IMAGE, inputs, make)


def layers_of_two_builds(image: str) -> tuple[list[str], list[str]]:
    """The layers of one of our images, built as always, on what earlier builds left, and built from nothing.

    Kept in the cache by a digest of the Dockerfile and the locks: which file of a room is edited changes nothing in how
    reproducible an image is, and building takes minutes.
    """
    recipe = [FOLDER / f"{image}.lock", FOLDER / "build.lock", ROOT / f"Dockerfile.{image}"]
    kept = _archives() / f"{image}-{_digest(_named(recipe))}.layers.json"
    base_archive()
    with locked(kept.parent / f"{image}.layers.lock", f"the image of the {image} twice"):
        if not kept.exists():
            say(f"building the image of the {image} from nothing, to compare (once for a state of the locks) …")
            kept.write_text(json.dumps([_layers(image, on_earlier_ones=on) for on in (True, False)]))
    first, second = json.loads(kept.read_text())
    return first, second


def _layers(image: str, *, on_earlier_ones: bool) -> list[str]:
    name = f"localhost/floe-{image}-{'again' if on_earlier_ones else 'from-nothing'}:e2e"
    build(_recipe(image), name, layers=on_earlier_ones)
    try:
        return layers_of(name)
    finally:
        forget(name)


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
        run(["nice", "-n", "15", *command], timeout_seconds=BUILD_SECONDS)
        for folder in _UNUSED:
            shutil.rmtree(root / folder)
            (root / folder).mkdir()
        container = buildah("from", "scratch").strip()
        buildah("copy", "--quiet", container, str(root), "/")
        buildah("commit", "--quiet", "--rm", container, _local("base"))


def _archive(image: str, reference: str, inputs: Iterable[bytes], make: Callable[[], object]) -> Path:
    base = base_archive()
    archive = _archives() / f"{image}-{_digest([base.name.encode(), *inputs])}.tar"
    with locked(archive.parent / f"{image}.lock", f"the image of the {image}"):
        if not archive.exists():
            say(f"building the image of the {image} …")
            make()
            _forget(archive.parent.glob(f"{image}-*.tar"))
            push(_local(image), reference, archive)
    return archive


def _recipe(image: str) -> Recipe:
    return Recipe(ROOT / f"Dockerfile.{image}", ROOT, {"BASE": _local("base")})


def _inputs(image: str) -> Iterable[bytes]:
    files = [ROOT / f"Dockerfile.{image}", ROOT / ".dockerignore"]
    files += [FOLDER / f"{name}.lock" for name in (image, "build")]
    for room in rooms_of(image):
        sources = [path for path in (room / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        files += [room / "pyproject.toml", *sorted(sources)]
    return _named(files)


def _named(files: Iterable[Path]) -> Iterable[bytes]:
    """Each file's place in the tree and what it holds."""
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
