"""Which ports the sidecar takes, so that it does not fight with a container that declares one of them."""

from collections.abc import Iterable
from typing import NamedTuple

from floe_webhook import pod as pods
from floe_webhook.pod import Placed

CANDIDATES = 32
"""How many ports, from the wanted one upwards, are looked at."""

_HIGHEST = 65_535


class Ports(NamedTuple):
    """The sidecar's ports: `application` on 127.0.0.1, `health` on the pod's address."""

    application: int
    health: int


DEFAULT_PORTS = Ports(application=4327, health=4328)
"""Those of the manifest's and the sidecar's own defaults; a test compares them."""


def free_ports(containers: Iterable[Placed], wanted: Ports) -> Ports | None:
    """The wanted ports, each moved up past the ports that containers declare; None if all candidates are declared."""
    declared = {
        number
        for container in containers
        for port in pods.entries(container.document, "ports")
        if isinstance(number := pods.mapping(port).get("containerPort"), int)
    }
    if not declared:
        return wanted
    application = _first_free(wanted.application, declared | {wanted.health})
    if application is None:
        return None
    health = _first_free(wanted.health, declared | {application})
    return Ports(application, health) if health is not None else None


def _first_free(wanted: int, taken: set[int]) -> int | None:
    candidates = range(wanted, min(wanted + CANDIDATES, _HIGHEST + 1))
    return next((port for port in candidates if port not in taken), None)
