"""One variable of ours: the entry as it stands in a container's `env`, what it refers to, and where it comes from."""

from dataclasses import dataclass

from floe_core.credentials import SecretKey
from floe_webhook.additions import Addition


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that we would write.

    Attributes:
        name: Its name.
        entry: The element of `env`, as Kubernetes reads it.
        needs: Variables that its value refers to as `$(NAME)`; they have to stand before it.
        source: The manifest's entry or the rule that it comes from, for `floe explain`.
    """

    name: str
    entry: Addition
    needs: tuple[str, ...]
    source: str

    @property
    def secret(self) -> SecretKey | None:
        """The Secret and key that it comes from; None if it comes from elsewhere."""
        source = self.entry.get("valueFrom", {})
        found = source.get("secretKeyRef")
        return SecretKey(found["name"], found["key"]) if found else None

    @property
    def shown(self) -> str:
        """Its value as a person wants to read it; a Secret is named, never its content."""
        if "value" in self.entry:
            return str(self.entry["value"])
        source = self.entry["valueFrom"]
        if "fieldRef" in source:
            return f"<{source['fieldRef']['fieldPath']}>"
        secret = source["secretKeyRef"]
        return f"<Secret {secret['name']}, key {secret['key']}, optional>"


def plain(name: str, value: str, *, source: str, needs: tuple[str, ...] = ()) -> Variable:
    """A variable with a text, in which `$(NAME)` stands for each of `needs`."""
    return Variable(name, Addition({"name": name, "value": value}), needs, source)


def from_field(name: str, path: str, *, source: str) -> Variable:
    """A variable that the kubelet fills from the pod's own fields."""
    # apiVersion is written out because the API server adds it: a second look at the pod must find it unchanged.
    field = {"apiVersion": "v1", "fieldPath": path}
    return Variable(name, Addition({"name": name, "valueFrom": {"fieldRef": field}}), (), source)


def from_secret(name: str, secret: SecretKey, *, source: str) -> Variable:
    """A variable from a Secret of the pod's namespace; a missing Secret or key never stops a pod."""
    selector = {"name": secret.secret, "key": secret.key, "optional": True}
    return Variable(name, Addition({"name": name, "valueFrom": {"secretKeyRef": selector}}), (), source)
