"""What an API server was told and what it stored, written down by itself: its audit log.

Every pod, Event and other object that carries words of ours is in it as it was sent and as it was stored, patched by
webhooks, and stays there when the object is gone. So are Secrets: what stands in them must stand nowhere else.
"""

import json
from pathlib import Path

LOG_NAME = "audit.log"

_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "omitManagedFields": True,
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {
            "level": "RequestResponse",
            "resources": [
                {"group": "", "resources": ["configmaps", "events", "pods", "pods/status", "secrets"]},
                {"group": "admissionregistration.k8s.io"},
                {"group": "apps"},
                {"group": "batch"},
                {"group": "events.k8s.io"},
            ],
        },
        {"level": "None"},  # leases and nodes, every few seconds
    ],
}


def audit_arguments(folder: Path) -> list[str]:
    """Options of kube-apiserver that make it write `audit.log` into a folder."""
    policy = folder / "audit-policy.json"
    policy.write_text(json.dumps(_POLICY))
    return [f"--audit-policy-file={policy}", f"--audit-log-path={folder / LOG_NAME}", "--audit-log-maxsize=1024"]
