"""The volume that a spool lies on: which folder is whose, and file systems on which no spool is safe.

SQLite's write-ahead log needs memory that all who use the file share, and locks that hold: a network file system has
neither (sqlite.org/wal.html, "All processes using a database must be on the same host computer").
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

from floe_sidecar.settings import Settings, Variable

NETWORK_FILE_SYSTEMS = {
    0x6969: "NFS",
    0xFF534D42: "CIFS",
    0xFE534D42: "SMB2",
    0x517B: "SMB",
    0x5346414F: "AFS",
    0x6B414653: "AFS",
    0x73757245: "Coda",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x19830326: "BeeGFS",
    0x013111A8: "IBRIX",
}
"""By the number that statfs(2) gives; one in user space (FUSE) does not say whether a network is behind it."""

_STATFS_BYTES = 256
"""More than any Linux's `struct statfs` takes; its first member, a long, is the type."""


class VolumeError(Exception):
    """The spool cannot lie where it is meant to; the message says what to do."""


def spool_folder(settings: Settings) -> Path | None:
    """The folder of this process's own spool; None for a temporary one.

    Raises:
        VolumeError: It shall be the pod's own, and the pod is not known.
    """
    if settings.spool_directory is None or not settings.spool_per_pod:
        return settings.spool_directory
    uid = settings.pod.pod_uid
    if not uid or "/" in uid or uid.startswith("."):
        raise VolumeError(f"{Variable.SPOOL_PER_POD} is true, but {Variable.POD_UID} does not hold the pod's UID")
    return settings.spool_directory / uid


def refuse_network(folder: Path, *, kind_of: Callable[[Path], int] | None = None) -> None:
    """Returns if the folder, which exists, lies on a file system of this machine.

    Raises:
        VolumeError: It does not.
        OSError: It cannot be told.
    """
    name = NETWORK_FILE_SYSTEMS.get((kind_of or file_system)(folder))
    if name is not None:
        raise VolumeError(
            f"the spool's folder {folder} lies on {name}, a network file system, where SQLite's write-ahead log loses "
            f"events; name a folder on a local or block volume with {Variable.SPOOL_DIRECTORY}"
        )


def file_system(folder: Path) -> int:
    """The type of a folder's file system, as statfs(2) names it.

    Raises:
        OSError: It cannot be told.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.statfs(str(folder).encode(), buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "statfs failed", str(folder))
    # Some numbers have the highest bit set, and a long may be signed and longer.
    return ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF
