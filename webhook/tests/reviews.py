"""AdmissionReviews as an API server sends them, and what its answers do to the pod."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import jsonpatch

UID = "705ab4f5-6393-11e8-b7cc-42010a800002"


def admission_review(pod: Mapping[str, Any], **request: Any) -> dict[str, Any]:
    """A review of a pod's creation; `request` replaces fields of the request."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "sales",
            "operation": "CREATE",
            "object": pod,
            "dryRun": False,
        }
        | request,
    }


def patched(pod: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """The pod as the API server would go on with it."""
    response = answer["response"]
    assert response["allowed"] is True
    operations = json.loads(base64.b64decode(response["patch"])) if "patch" in response else []
    result: dict[str, Any] = jsonpatch.apply_patch(pod, operations)
    return result
