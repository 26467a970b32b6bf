"""AdmissionReviews, made and spoiled at random: every one keeps its `request.uid`, so every one has to be allowed.

A number gives a body; the same number always gives the same body, which is how a finding is kept (`SEEDS`).
"""

import base64
import json
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jsonpatch
import orjson

SEEDS = (0, 7, 19, 31, 64, 101, 255, 1_024, 4_711, 65_537)
"""Numbers whose bodies are looked at first in every run; those of a finding are added here."""

_NAMES = (
    "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_CONFIG_FILE",
    "OPENLINEAGE_URL", "OPENLINEAGE_CONTEXT", "OPENLINEAGE_DISABLED", "AIRFLOW__CORE__EXECUTOR", "FLOE_POD_NAME",
    "LINEAGE_API_KEY", "HOME", "A", "B",
)  # fmt: skip
_VALUES = ("", "x", "team=data", "a=b=c,", "$(A)", "$$(A)", "$(OTEL_RESOURCE_ATTRIBUTES)", "é\u2028", "x" * 300)
_ANNOTATIONS = (
    "floe.dev/containers", "floe.dev/exclude-containers", "floe.dev/init-containers", "floe.dev/environment-only",
    "floe.dev/sidecar-cpu-limit", "floe.dev/sidecar-memory-request", "floe.dev/sidecar-log-level", "floe.dev/product",
    "floe.dev/lineage-namespace", "floe.dev/unknown", "floe.dev/injection", "floe.dev/injected-by",
    "resource.opentelemetry.io/service.name", "kubectl.kubernetes.io/default-container", "openshift.io/scc", "note",
)  # fmt: skip
_TEXTS = ("true", "c0", "c0,i0", "100m", "64Mi", "debug", "orders", "a b", "restricted", "{}", '{"format":1}', "\0")
_KEYS = (
    "env", "envFrom", "name", "value", "valueFrom", "ports", "containerPort", "resources", "limits", "requests",
    "securityContext", "runAsUser", "volumes", "initContainers", "containers", "labels", "annotations", "metadata",
    "spec", "ownerReferences", "hostNetwork", "os", "nodeSelector", "terminationGracePeriodSeconds", "kind", "future",
    "imagePullSecrets", "restartPolicy", "namespace", "operation", "object", "dryRun", "subResource", "apiVersion",
)  # fmt: skip
_DEEP = 300


def body_of(number: int) -> tuple[str, bytes]:
    """The uid and the bytes of a review: about half of them as an API server writes them, the rest spoiled."""
    chance = random.Random(number)  # noqa: S311 - a repeatable choice is what is wanted
    uid = f"{number:032x}"
    document = _review(chance, uid)
    way = chance.random()
    if way < 0.45:
        return uid, orjson.dumps(document)
    for _ in range(chance.randint(1, 6)):
        spoil(chance, document)
    # The uid stands first among the request's keys, as the API server writes it.
    if isinstance(request := document.get("request"), dict):
        document["request"] = {"uid": uid} | {key: value for key, value in request.items() if key != "uid"}
    text = json.dumps(document, separators=(",", ":")).encode()  # deeper than orjson writes
    return uid, text if way < 0.85 else _spoiled_bytes(chance, text, uid)


def objection(uid: str, body: bytes, status: int, answer: bytes) -> str | None:
    """What is wrong with an answer; None if nothing is."""
    try:
        response = orjson.loads(answer)["response"]
    except (ValueError, KeyError, TypeError):
        return f"status {status} and no AdmissionReview"
    if status != 200 or response.get("allowed") is not True or response.get("uid") != uid:
        return f"status {status}, not allowed, or not by its uid"
    return _objection_to_patch(body, response["patch"]) if "patch" in response else None


def _objection_to_patch(body: bytes, patch: str) -> str | None:
    try:
        pod = orjson.loads(body)["request"]["object"]
        # In place: a copy goes down into a pod that is deeper than Python likes.
        jsonpatch.apply_patch(pod, orjson.loads(base64.b64decode(patch, validate=True)), in_place=True)
    except (ValueError, KeyError, TypeError, jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        return f"the patch does not apply: {error}"
    return None


@dataclass(frozen=True, slots=True)
class Finding:
    """An answer that is wrong."""

    number: int
    what: str


def numbers(count: int, start: int) -> Iterator[int]:
    """The seeds, and then one number after another."""
    yield from SEEDS[:count]
    yield from range(start, start + max(0, count - len(SEEDS)))


def _review(chance: random.Random, uid: str) -> dict[str, Any]:
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": uid,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": chance.choice(("sales", "kube-system", "")),
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:kube-system:job-controller"},
            "object": _pod(chance),
            "dryRun": chance.random() < 0.1,
        },
    }


def _pod(chance: random.Random) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "generateName": "load-",
        "labels": {"floe.dev/inject": chance.choice(("enabled", "no"))},
    }
    if chance.random() < 0.6:
        chosen = chance.sample(_ANNOTATIONS, chance.randint(0, 5))
        metadata["annotations"] = {name: chance.choice(_TEXTS) for name in chosen}
    if chance.random() < 0.1:
        metadata["labels"]["floe.dev/injected"] = "true"
    if chance.random() < 0.5:
        kind, name = chance.choice((("Job", "load-29391840"), ("ReplicaSet", "web-abc"), ("StatefulSet", "db")))
        metadata["ownerReferences"] = [{"kind": kind, "name": name, "uid": "1", "controller": True}]
    spec: dict[str, Any] = {"containers": [_container(chance, f"c{at}") for at in range(chance.randint(1, 4))]}
    if chance.random() < 0.5:
        spec["initContainers"] = [_container(chance, f"i{at}") for at in range(chance.randint(0, 2))]
    more: tuple[tuple[str, Any], ...] = (
        ("hostNetwork", True),
        ("shareProcessNamespace", True),
        ("terminationGracePeriodSeconds", chance.choice((0, 3, 600))),
        ("imagePullSecrets", [{"name": "registry"}]),
        ("volumes", [{"name": chance.choice(("data", "floe-spool")), "emptyDir": {}}]),
        ("securityContext", {"runAsUser": 0}),
        ("resources", {"limits": {"cpu": "1", "memory": "1Gi"}}),
        ("schedulerName", "default-scheduler"),
        ("serviceAccountName", "default"),
    )
    spec |= {key: value for key, value in more if chance.random() < 0.2}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {}}


def _container(chance: random.Random, name: str) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "image": chance.choice(("app", "r.example:5000/a:1", "a@sha256:0a"))}
    if chance.random() < 0.8:
        names = chance.sample(_NAMES, chance.randint(0, 6))
        found["env"] = [{"name": one, "value": chance.choice(_VALUES)} for one in names]
    if chance.random() < 0.3:
        found["envFrom"] = [{"configMapRef": {"name": chance.choice(("settings", "otel"))}}]
    if chance.random() < 0.3:
        found["ports"] = [{"containerPort": chance.choice((4327, 4328, 8080))}]
    if chance.random() < 0.3:
        found["resources"] = {"limits": {"cpu": "1", "memory": chance.choice(("1Gi", "1e9", "-", "1Zi"))}}
    return found


def spoil(chance: random.Random, document: dict[str, Any]) -> None:
    """One change anywhere but at the request itself and its uid."""
    places = [place for place in _places(document) if place[1] not in {"request", "uid"}]
    holder, key = chance.choice(places) if places else (document, chance.choice(_KEYS))
    if not places:
        document[key] = None
    match chance.randint(0, 5):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[chance.choice(_KEYS)] = _junk(chance)
        case 2 if isinstance(holder, list):
            holder.append(_junk(chance))
        case 3:
            holder[key] = holder[key] if isinstance(holder[key], dict) else [holder[key], holder[key]]
        case _:
            holder[key] = _junk(chance)
    # What was put beside the request's uid must not take its place.
    document.setdefault("request", {})


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    waiting = [document]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        for key in keys:
            yield holder, key
            if isinstance(holder[key], dict | list):
                waiting.append(holder[key])


def _junk(chance: random.Random) -> Any:
    deep: Any = []
    for _ in range(_DEEP):
        deep = [deep]
    some = "".join(chance.choices(string.printable, k=chance.randint(0, 40)))
    return chance.choice(
        (
            None, True, False, 0, -1, 2**63 - 1, 1.5e300, "", some, "x" * 5_000, "\u0000\uffff", [], {}, [None], [[]],
            {"": None}, {"name": some}, {"value": {}}, [{"name": 5}], deep, {"name": "c0", "env": {"A": 1}},
        )
    )  # fmt: skip


def _spoiled_bytes(chance: random.Random, text: bytes, uid: str) -> bytes:
    """Bytes behind the uid that are changed, doubled, or missing; what stands up to it stays."""
    kept = text.find(uid.encode()) + len(uid) + 1
    if not 0 < text.find(b'"request"') < kept:
        return text
    head, tail = text[:kept], bytearray(text[kept:])
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(tail)) if tail else 0
        match chance.randint(0, 3):
            case 0:
                tail[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del tail[at : at + chance.randint(1, 50)]
            case 2:
                tail[at:at] = tail[at : at + chance.randint(1, 50)]
            case _:
                tail[at:at] = chance.choice((b"\xff", b"\xed\xa0\x80", b"\\ud800", b"{", b'"', b"1e999", b"\0"))
    return head + bytes(tail)
