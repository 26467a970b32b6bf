"""The MutatingWebhookConfiguration that sends opted-in pods to the webhook, and no others.

Two entries with disjoint object selectors, so that at most one fires for a pod (design: opting in):

| entry     | path          | fires for a pod that …        | in a namespace that …     |
|-----------|---------------|-------------------------------|---------------------------|
| namespace | `/mutate`     | carries no `floe.dev/inject`  | says `enabled` or `true`  |
| pod       | `/mutate/pod` | says `enabled` or `true`      | says anything, or nothing |

A pod that says anything else travels nowhere: its own `disabled` beats its namespace.
"""

import base64
from collections.abc import Callable, Sequence
from typing import Any

INJECT_LABEL = "floe.dev/inject"
OPTED_IN = ["enabled", "true"]
NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
ALWAYS_EXCLUDED = ("kube-system", "kube-node-lease")


ClientOf = Callable[[str], dict[str, Any]]
"""The `clientConfig` for a path: where the webhook is, and the CA that its certificate is verified by."""


def mutating_webhook_configuration(
    name: str, client_of: ClientOf, excluded_namespaces: Sequence[str] = ALWAYS_EXCLUDED
) -> dict[str, Any]:
    """The configuration object.

    Args:
        name: The object's name.
        client_of: How the API server reaches the webhook.
        excluded_namespaces: Namespaces from which no pod travels: the control plane's and the release's own.
    """
    not_excluded = {"key": NAMESPACE_NAME_LABEL, "operator": "NotIn", "values": list(excluded_namespaces)}
    opted_in = {"key": INJECT_LABEL, "operator": "In", "values": OPTED_IN}
    silent = {"key": INJECT_LABEL, "operator": "DoesNotExist"}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            _entry("namespace", client_of("/mutate"), namespaces=[not_excluded, opted_in], pods=[silent]),
            _entry("pod", client_of("/mutate/pod"), namespaces=[not_excluded], pods=[opted_in]),
        ],
    }


def by_url(origin: str, authority_pem: bytes) -> ClientOf:
    """Reaches a webhook outside the cluster."""
    authority = base64.b64encode(authority_pem).decode()
    return lambda path: {"url": f"{origin}{path}", "caBundle": authority}


def _entry(
    name: str, client: dict[str, Any], namespaces: Sequence[dict[str, Any]], pods: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "name": f"{name}.inject.floe.dev",
        "clientConfig": client,
        "admissionReviewVersions": ["v1"],
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }
        ],
        "namespaceSelector": {"matchExpressions": list(namespaces)},
        "objectSelector": {"matchExpressions": list(pods)},
        "matchConditions": [
            {
                # What selectors cannot say: the API server refuses changes to a mirror pod.
                "name": "no-mirror-pod",
                "expression": "!has(object.metadata.annotations)"
                " || !('kubernetes.io/config.mirror' in object.metadata.annotations)",
            }
        ],
        "matchPolicy": "Equivalent",
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": 5,
    }
