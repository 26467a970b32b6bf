"""The node's network: a bridge that holds the node's address and its pods, and nothing left of it afterwards.

    host 10.88.0.1 --- bridge floe-e2e --- veth --- pod 10.88.x.y

Pods reach the host and each other, Services through kube-proxy's iptables rules. There is no way to other networks.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.cluster.commands import CommandError, run

BRIDGE = "floe-e2e"
NODE_ADDRESS = "10.88.0.1"
"""Where the node, the API server and the name service are, for the host and for pods."""

POD_NETWORK = "10.88.0.0/16"
_CNI_VERSION = "1.0.0"
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_OURS = re.compile(r"KUBE-[A-Z0-9-]+")


@contextmanager
def node_network(folder: Path) -> Iterator[Path]:
    """The bridge with the node's address; gives the folder with the CNI configuration."""
    remove_leftovers()
    forwarding = _FORWARDING.read_text()
    run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    try:
        run(["ip", "address", "add", f"{NODE_ADDRESS}/16", "dev", BRIDGE])
        run(["ip", "link", "set", BRIDGE, "up"])
        _FORWARDING.write_text("1")
        yield _cni_configuration(folder)
    finally:
        _FORWARDING.write_text(forwarding)
        remove_leftovers()


def remove_leftovers() -> None:
    """Removes the bridge, the interfaces of its pods, and kube-proxy's and the kubelet's chains."""
    if bridge_exists():
        for port in json.loads(run(["ip", "-json", "link", "show", "master", BRIDGE])):
            run(["ip", "link", "delete", port["ifname"]])
        run(["ip", "link", "delete", BRIDGE])
    for family in ("iptables", "ip6tables"):
        run([f"{family}-restore", "--noflush"], standard_input=removal_of_chains(run([f"{family}-save"])))


def bridge_exists() -> bool:
    """Whether a node of ours is there, running or left by a run that was killed."""
    try:
        run(["ip", "link", "show", BRIDGE])
    except CommandError:
        return False
    return True


def foreign_chains() -> list[str]:
    """Chains of a Kubernetes node, as a rule of another one than ours."""
    return sorted({chain for chain in re.findall(r"^:(\S+)", run(["iptables-save"]), re.MULTILINE) if _is_ours(chain)})


def removal_of_chains(saved: str) -> str:
    """What `iptables-restore --noflush` takes to remove a node's chains, and the rules that lead there.

    Args:
        saved: What `iptables-save` prints.
    """
    lines: list[str] = []
    for table in re.findall(r"^\*.*?^COMMIT$", saved, re.MULTILINE | re.DOTALL):
        name, *rest = table.splitlines()[:-1]
        chains = [chain for line in rest if line.startswith(":") and _is_ours(chain := line[1:].split()[0])]
        rules = [line for line in rest if line.startswith("-A ") and _leads_to_ours(line)]
        if chains:
            lines += [name, *(f":{chain} - [0:0]" for chain in chains)]  # named again: emptied
            lines += [f"-D{rule[2:]}" for rule in rules]
            lines += [*(f"-X {chain}" for chain in chains), "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def _leads_to_ours(rule: str) -> bool:
    """Whether a rule of somebody else's chain jumps to ours."""
    words = rule.split()
    target = words[words.index("-j") + 1] if "-j" in words else ""
    return not _is_ours(words[1]) and _is_ours(target)


def _is_ours(chain: str) -> bool:
    return _OURS.fullmatch(chain) is not None


def _cni_configuration(folder: Path) -> Path:
    cni = folder / "cni"
    cni.mkdir()
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,  # a pod that reaches itself through its Service
        "ipam": {
            "type": "host-local",
            "dataDir": str(folder / "addresses"),
            "ranges": [[{"subnet": POD_NETWORK, "rangeStart": "10.88.1.0"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    configuration = {"cniVersion": _CNI_VERSION, "name": BRIDGE, "plugins": [bridge]}
    (cni / "10-floe-e2e.conflist").write_text(json.dumps(configuration))
    return cni
