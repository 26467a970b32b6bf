"""AdmissionReview bytes in, AdmissionReview bytes out; what lies between is `floe_webhook.injection`.

Whatever carries a `request.uid` is answered with `allowed: true`, patched or not: nothing that we do, and nothing that
we cannot read, keeps a pod from starting. What carries none cannot be answered at all and is refused.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
import pybase64

from floe_webhook.decision import Facts, Outcome
from floe_webhook.injection import Injection, inject
from floe_webhook.pod import mapping, text
from floe_webhook.profile import Profile

API_VERSION = "admission.k8s.io/v1"

# Where a body is too large or no JSON, its head is searched for the uid, which the API server writes first.
_UID = re.compile(rb'"request"\s*:\s*\{.{0,2000}?"uid"\s*:\s*"([\x21\x23-\x5b\x5d-\x7e]{1,128})"', re.DOTALL)
_HEAD_BYTES = 16 * 1024


class Problem(StrEnum):
    """Why a request was not even decided upon; the value is its code."""

    TOO_LARGE = "too_large"
    WRONG_CONTENT_TYPE = "wrong_content_type"
    MALFORMED = "malformed"
    NOT_A_REVIEW = "not_a_review"
    WRONG_API_VERSION = "wrong_api_version"
    NO_UID = "no_uid"
    NOT_A_POD = "not_a_pod"
    NOT_A_CREATION = "not_a_creation"
    TOO_SLOW = "too_slow"
    TOO_BUSY = "too_busy"
    INTERNAL_ERROR = "internal_error"

    @property
    def sentence(self) -> str:
        """What is wrong with the request."""
        return _SENTENCES[self]


_SENTENCES = {
    Problem.TOO_LARGE: "The body is larger than the webhook reads.",
    Problem.WRONG_CONTENT_TYPE: "The content type is not application/json.",
    Problem.MALFORMED: "The body is not JSON.",
    Problem.NOT_A_REVIEW: "The document is not an AdmissionReview with a request.",
    Problem.WRONG_API_VERSION: f"The AdmissionReview's apiVersion is not {API_VERSION}.",
    Problem.NO_UID: "The AdmissionReview's request has no uid, so it cannot be answered.",
    Problem.NOT_A_POD: "The request is not about a pod.",
    Problem.NOT_A_CREATION: "The request does not create the pod.",
    Problem.TOO_SLOW: "The answer would have come too late for the API server; the pod is admitted as it is.",
    Problem.TOO_BUSY: "More requests wait than the webhook takes at once; the pod is admitted as it is.",
    Problem.INTERNAL_ERROR: "The webhook failed; the pod is admitted as it is.",
}


class ReviewError(Exception):
    """A request that is not decided upon.

    Attributes:
        problem: Why.
        uid: The request's uid, if it could be found: then it is allowed.
    """

    def __init__(self, problem: Problem, uid: str | None) -> None:
        super().__init__(problem.sentence)
        self.problem = problem
        self.uid = uid


class Review(NamedTuple):
    """A request to create a pod."""

    uid: str
    pod: Mapping[str, Any]
    namespace: str
    dry_run: bool


def decode(body: bytes) -> Review:
    """The review in a body.

    Raises:
        ReviewError: It is none that can be decided upon.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ReviewError(Problem.MALFORMED, uid_in(body)) from None
    request = mapping(document, "request")
    uid = text(request, "uid") or None
    if not request or document.get("kind") != "AdmissionReview":
        raise ReviewError(Problem.NOT_A_REVIEW, uid)
    if uid is None:
        raise ReviewError(Problem.NO_UID, None)
    if document.get("apiVersion") != API_VERSION:
        raise ReviewError(Problem.WRONG_API_VERSION, uid)
    pod = request.get("object")
    kind = mapping(request, "kind")
    if (kind.get("group", ""), kind.get("kind")) != ("", "Pod") or request.get("subResource"):
        raise ReviewError(Problem.NOT_A_POD, uid)
    if request.get("operation") != "CREATE":
        raise ReviewError(Problem.NOT_A_CREATION, uid)
    if not isinstance(pod, dict):
        raise ReviewError(Problem.NOT_A_POD, uid)
    namespace = text(request, "namespace") or text(pod, "metadata", "namespace")
    return Review(uid, pod, namespace, request.get("dryRun") is True)


def review(request: Review, profile: Profile, *, namespace_label: str | None) -> Injection:
    """Decides about the pod of a request and plans what follows."""
    return inject(Facts(request.pod, request.namespace, namespace_label), profile)


def encode(uid: str, injection: Injection) -> bytes:
    """The answer to a request that was decided upon."""
    decision = injection.plan.decision
    answer: dict[str, Any] = {
        "uid": uid,
        "allowed": True,
        "auditAnnotations": {"outcome": decision.outcome, "reasons": ",".join(decision.reasons)},
    }
    if injection.patch and decision.outcome is not Outcome.NONE:
        answer["patchType"] = "JSONPatch"
        # Base64 needs no escaping, so it is not looked through again. The standard library's costs as much as deciding.
        answer["patch"] = orjson.Fragment(b'"%b"' % pybase64.b64encode(injection.patch.encode()))
    return _enveloped(answer)


def encode_problem(uid: str, problem: Problem) -> bytes:
    """The answer to a request that was not decided upon: the pod is admitted as it is."""
    return _enveloped({"uid": uid, "allowed": True, "auditAnnotations": {"problem": problem}})


def uid_in(body: bytes) -> str | None:
    """The uid in the head of a body that cannot be read as a whole."""
    match = _UID.search(body[:_HEAD_BYTES])
    return match[1].decode("ascii") if match else None


def _enveloped(answer: Mapping[str, Any]) -> bytes:
    return orjson.dumps({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": answer})
