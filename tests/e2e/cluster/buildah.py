"""buildah as the tests use it: images from Dockerfiles without a container runtime, in a storage of our own.

The storage, with its layers, is in the cache, so that what has not changed is not built again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.cluster.binaries import cache_folder
from tests.e2e.cluster.commands import run
from tests.e2e.cluster.locking import locked

BUILD_SECONDS = 1800.0

_CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_PIP_CONFIGURATION = Path("/etc/pip.conf")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is built from.

    Attributes:
        dockerfile: How.
        context: The folder that `COPY` takes from.
        arguments: Values of its `ARG`s.
    """

    dockerfile: Path
    context: Path
    arguments: Mapping[str, str]


def build(recipe: Recipe, name: str, *, layers: bool = True) -> str:
    """Builds an image into the storage; gives its id.

    Args:
        recipe: What from.
        name: What to call it there.
        layers: Whether to take what an earlier build left.
    """
    mounts = [f"{file}:{file}:ro" for file in (_CA_BUNDLE, _PIP_CONFIGURATION) if file.is_file()]
    return buildah(
        "bud",
        "--quiet",
        "--force-rm",  # a build that fails leaves no container, whose mount would stay
        f"--layers={str(layers).lower()}",
        "--isolation=chroot",  # no container runtime is needed to build
        "--network=host",
        "--timestamp=0",  # two builds are the same, byte for byte
        "--pull-never",
        *(f"--volume={mount}" for mount in mounts),
        *(f"--build-arg={key}={value}" for key, value in recipe.arguments.items()),
        f"--file={recipe.dockerfile}",
        f"--tag={name}",
        str(recipe.context),
    ).strip()


def layers_of(name: str) -> list[str]:
    """The digests of an image's layers, from the base's up."""
    document = json.loads(buildah("inspect", "--type=image", name))
    layers: list[str] = document["OCIv1"]["rootfs"]["diff_ids"]
    return layers


def forget(name: str) -> None:
    """Takes a name from an image; the image goes with its last one."""
    buildah("rmi", name)


def push(name: str, reference: str, archive: Path) -> None:
    """Writes an image as a docker-archive; the OCI form is garbage-collected from the CRI's store."""
    unfinished = archive.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    buildah("push", "--quiet", name, f"docker-archive:{unfinished}:{reference}")
    unfinished.rename(archive)


def buildah(*arguments: str) -> str:
    """What a command of buildah's prints."""
    storage = cache_folder() / "buildah"
    storage.mkdir(parents=True, exist_ok=True)
    options = [f"--root={storage / 'root'}", f"--runroot={storage / 'run'}"]
    # One at a time: a build that looks for layers fails if an image with some of them is removed meanwhile.
    with locked(storage / "lock", "an image"):
        return run(["nice", "-n", "15", "buildah", *options, *arguments], timeout_seconds=BUILD_SECONDS)
