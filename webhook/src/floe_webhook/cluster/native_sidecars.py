"""Whether the API server keeps native sidecars (KEP-753), asked of the API server itself.

Its version does not tell: a feature gate can switch them off up to 1.32. Then the field is silently dropped, a sidecar
becomes an init container that never ends, and its pod hangs. So an object with such a sidecar is created as a dry run
and the answer is looked at.

The object is a PodTemplate: a pod's fields are dropped from it just the same, but it starts nothing, no quota or limit
counts it, and Pod Security does not refuse it. It needs the right to `create` `podtemplates` in one namespace.
"""

from typing import Any

from floe_certs.api import UnreachableError
from floe_certs.kubernetes import Document, Request

_OK = range(200, 300)
_ALWAYS = "Always"


async def supported(api: Request, namespace: str) -> bool | None:
    """Whether a native sidecar stays one; None if that cannot be known now: no answer, or a refusal.

    Nothing is stored. Kubelets are not asked: an old one behind a new API server is told by its node's version.

    Args:
        api: Asks with the rights of whoever runs this.
        namespace: Where we may create PodTemplates: the release's own.
    """
    try:
        answer = await api(
            "POST",
            f"/api/v1/namespaces/{namespace}/podtemplates",
            query={"dryRun": "All"},
            body=_with_a_native_sidecar(namespace),
            content_type="application/json",
        )
    except UnreachableError:
        return None
    return _kept(answer.document) if answer.status in _OK else None


def _with_a_native_sidecar(namespace: str) -> Document:
    image = "floe.invalid/never-pulled:1"
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"generateName": "floe-native-sidecar-probe-", "namespace": namespace},
        "template": {
            "spec": {
                "initContainers": [{"name": "sidecar", "image": image, "restartPolicy": _ALWAYS}],
                "containers": [{"name": "app", "image": image}],
            }
        },
    }


def _kept(answered: Document) -> bool | None:
    """Whether the sidecar in the answer is one still; None if the answer is no PodTemplate with init containers."""
    found: Any = answered
    for key in ("template", "spec", "initContainers"):
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, list) or not found:
        return None
    # Another injector may have put its own in front of ours.
    ours = [one for one in found if isinstance(one, dict) and one.get("name") == "sidecar"]
    return ours[0].get("restartPolicy") == _ALWAYS if ours else None
