"""Settings of this machine's kernel that a node changes, and that stand as they were afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

KERNEL_SETTINGS = (
    # What the kubelet sets (its own defaults), and kube-proxy.
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_timeout_established",
    "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
)


@contextmanager
def kept_settings(names: Sequence[str], root: Path = Path("/proc/sys")) -> Iterator[None]:
    """Writes settings back as they are now; one that this kernel does not have is passed over."""
    before = {path: path.read_text() for name in names if (path := root / name).is_file()}
    try:
        yield
    finally:
        for path, value in before.items():
            if path.read_text() != value:
                path.write_text(value)
