"""Every request gets a defined answer; whatever carries a uid is allowed."""

import io
import json
from typing import Any

import httpx
import pytest

from floe_core.logging import configure_logging
from floe_webhook.admission import Problem
from floe_webhook.server import MAX_BODY_BYTES
from webhook.tests.builders import container, pod
from webhook.tests.reviews import UID, admission_review, patched
from webhook.tests.serving.conftest import Serving

pytestmark = pytest.mark.requirement("HOUSE-3")
JSON = {"Content-Type": "application/json"}


async def answer(serving: Serving, content: bytes, path: str = "/mutate", **headers: str) -> httpx.Response:
    return await serving.client.post(path, content=content, headers={**JSON, **headers})


async def sample(serving: Serving, name: str) -> float:
    text = (await serving.client.get("/metrics")).text
    return next(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"{name} "))


@pytest.mark.requirement("HOUSE-2", "HOUSE-12")
async def test_an_opted_in_pod_comes_back_injected_and_is_counted(serving: Serving) -> None:
    document = pod()
    found = await serving.client.post("/mutate", json=admission_review(document))
    assert found.status_code == 200
    told = found.json()
    assert (told["apiVersion"], told["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert told["response"]["uid"] == UID
    after = patched(document, told)
    assert after["metadata"]["labels"]["floe.dev/injected"] == "true"
    assert after["spec"]["initContainers"][0]["name"] == "floe-sidecar"
    assert await sample(serving, 'floe_webhook_requests_total{outcome="full"}') == 1
    assert await sample(serving, "floe_webhook_admission_duration_seconds_count") == 1


@pytest.mark.requirement("HOUSE-2")
@pytest.mark.parametrize(
    ("path", "is_injected"),
    [
        pytest.param("/mutate", True, id="a silent pod that travels has a namespace that opted in"),
        pytest.param("/mutate/pod", False, id="where only the pod's own word counts it has not opted in"),
    ],
)
async def test_what_a_silent_pod_means_depends_on_the_path(serving: Serving, path: str, is_injected: bool) -> None:
    document = pod()
    del document["metadata"]["labels"]["floe.dev/inject"]
    found = (await serving.client.post(path, json=admission_review(document))).json()
    assert ("floe.dev/injected" in patched(document, found)["metadata"]["labels"]) is is_injected


async def test_a_pod_that_opted_out_comes_back_as_it_is_with_a_reason_for_the_audit(serving: Serving) -> None:
    document = pod(labels={"floe.dev/inject": "disabled"})
    found = (await serving.client.post("/mutate", json=admission_review(document))).json()
    assert patched(document, found) == document
    assert found["response"]["auditAnnotations"] == {"outcome": "none", "reasons": "pod_opted_out"}


async def test_a_dry_run_is_answered_alike_and_counted(serving: Serving) -> None:
    found = await serving.client.post("/mutate", json=admission_review(pod(), dryRun=True))
    assert "patch" in found.json()["response"]
    assert await sample(serving, "floe_webhook_dry_runs_total") == 1


@pytest.mark.parametrize(
    ("request_fields", "review_fields", "problem"),
    [
        ({"operation": "UPDATE"}, {}, Problem.NOT_A_CREATION),
        ({"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}, {}, Problem.NOT_A_POD),
        ({"subResource": "ephemeralcontainers"}, {}, Problem.NOT_A_POD),
        ({"object": None}, {}, Problem.NOT_A_POD),
        ({"object": ["a"]}, {}, Problem.NOT_A_POD),
        ({"kind": "Pod"}, {}, Problem.NOT_A_POD),
        ({}, {"apiVersion": "admission.k8s.io/v1beta1"}, Problem.WRONG_API_VERSION),
        ({}, {"kind": "Review"}, Problem.NOT_A_REVIEW),
    ],
)
async def test_what_is_not_a_pods_creation_is_allowed_as_it_is(
    serving: Serving, request_fields: dict[str, Any], review_fields: dict[str, Any], problem: Problem
) -> None:
    found = await serving.client.post("/mutate", json=admission_review(pod(), **request_fields) | review_fields)
    assert found.status_code == 200
    assert found.json()["response"] == {"uid": UID, "allowed": True, "auditAnnotations": {"problem": problem}}
    assert await sample(serving, f'floe_webhook_reasons_total{{reason="{problem}"}}') == 1


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", Problem.MALFORMED),
        (b"{", Problem.MALFORMED),
        (b"\xff\xfe", Problem.MALFORMED),
        (b"[" * 100_000, Problem.MALFORMED),
        (b"[]", Problem.NOT_A_REVIEW),
        (b'{"kind":"AdmissionReview","request":{"uid":""}}', Problem.NO_UID),
        (b'{"kind":"AdmissionReview","request":{"uid":7}}', Problem.NO_UID),
        (b'{"kind":"AdmissionReview"}', Problem.NOT_A_REVIEW),
    ],
    ids=["empty", "cut off", "no text", "very deep", "a list", "an empty uid", "a number as uid", "no request"],
)
async def test_what_carries_no_uid_is_refused_with_a_reason(serving: Serving, content: bytes, problem: Problem) -> None:
    found = await answer(serving, content)
    assert found.status_code == 400
    assert found.json() == {"problem": problem, "reason": problem.sentence}
    assert await sample(serving, 'floe_webhook_requests_total{outcome="refused"}') == 1


@pytest.mark.parametrize(
    ("change", "headers", "problem"),
    [
        pytest.param(lambda text: text[:-1], {}, Problem.MALFORMED, id="malformed"),
        pytest.param(lambda text: text, {"Content-Type": "text/plain"}, Problem.WRONG_CONTENT_TYPE, id="content type"),
        pytest.param(lambda text: text + b" " * MAX_BODY_BYTES, {}, Problem.TOO_LARGE, id="too large"),
    ],
)
async def test_a_uid_in_what_cannot_be_read_is_still_allowed(
    serving: Serving, change: Any, headers: dict[str, str], problem: Problem
) -> None:
    found = await answer(serving, change(json.dumps(admission_review(pod())).encode()), **headers)
    assert found.status_code == 200
    assert found.json()["response"] == {"uid": UID, "allowed": True, "auditAnnotations": {"problem": problem}}


async def test_a_body_that_is_too_large_and_says_nothing_gets_413(serving: Serving) -> None:
    found = await answer(serving, b"x" * (MAX_BODY_BYTES + 1))
    assert found.status_code == 413
    assert found.json()["problem"] == Problem.TOO_LARGE


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/mutate", 405), ("POST", "/other", 404)])
async def test_other_requests_are_refused(serving: Serving, method: str, path: str, status: int) -> None:
    assert (await serving.client.request(method, path)).status_code == status


@pytest.mark.requirement("HOUSE-12", "CC-6.1", "HOUSE-7")
async def test_an_error_of_ours_admits_the_pod_and_tells_nothing_of_it(
    serving: Serving,
) -> None:
    lines = io.StringIO()
    configure_logging(stream=lines)
    document = pod(container(variables={"PASSWORD": "hunter2"}))
    serving.webhook.profile.profile = None  # type: ignore[assignment]  # a defect of ours
    found = await serving.client.post("/mutate", json=admission_review(document))
    assert found.json()["response"] == {
        "uid": UID,
        "allowed": True,
        "auditAnnotations": {"problem": Problem.INTERNAL_ERROR},
    }
    assert await sample(serving, 'floe_webhook_reasons_total{reason="internal_error"}') == 1
    assert "admission failed" in lines.getvalue()
    assert "hunter2" not in lines.getvalue()


@pytest.mark.requirement("HOUSE-12", "FP-24")
async def test_health_and_readiness_say_what_is_in_force(serving: Serving) -> None:
    assert (await serving.client.get("/healthz")).text == "ok\n"
    found = await serving.client.get("/readyz")
    assert found.status_code == 200
    assert found.json()["profile"] == serving.webhook.profile.profile.identity
    assert found.json()["manifest_error"] is None


@pytest.mark.requirement("FP-24", "HOUSE-11")
async def test_a_draining_webhook_still_answers_and_sends_its_clients_elsewhere(serving: Serving) -> None:
    serving.webhook.draining = True
    found = await serving.client.post("/mutate", json=admission_review(pod()))
    assert "patch" in found.json()["response"]
    assert found.headers["Connection"] == "close"
    assert (await serving.client.get("/readyz")).status_code == 503


async def test_somebody_who_looks_on_and_fails_takes_no_injection_away(serving: Serving) -> None:
    def look_on(*_: object) -> None:
        raise ValueError("hunter2")

    lines = io.StringIO()
    configure_logging(stream=lines)
    serving.webhook.witness = look_on
    found = await serving.client.post("/mutate", json=admission_review(pod()))
    assert "patch" in found.json()["response"]
    assert await sample(serving, 'floe_webhook_task_failures_total{task="telling"}') == 1
    assert "hunter2" not in lines.getvalue()


async def test_somebody_who_is_told_of_a_failure_and_fails_too_keeps_no_pod_waiting(serving: Serving) -> None:
    def hear(*_: object) -> None:
        raise ValueError("hunter2")

    lines = io.StringIO()
    configure_logging(stream=lines)
    serving.webhook.failed = hear
    serving.webhook.profile.profile = None  # type: ignore[assignment]  # a defect of ours
    found = await serving.client.post("/mutate", json=admission_review(pod()))
    assert found.json()["response"]["allowed"] is True
    assert await sample(serving, 'floe_webhook_task_failures_total{task="telling"}') == 1
    assert "hunter2" not in lines.getvalue()
