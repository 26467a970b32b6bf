"""The whole road, shown by a dry run: the API server calls the webhook about a pod, and nothing is stored.

Only this proves network, TLS, selectors and the webhook's answer together. The pod meets Pod Security "restricted" and
has requests and limits, so that no policy of a namespace stands in its way.
"""

from dataclasses import dataclass

from floe_certs.kubernetes import Answer
from floe_webhook import pod as pods
from floe_webhook.checks.cluster import Cluster
from floe_webhook.checks.results import Check, Finding, failed, ok, skipped
from floe_webhook.pod import Document

_CHECK = Check.ADMISSION
_RESOURCES = {"cpu": "1m", "memory": "1Mi"}
_CREATED = (200, 201)


@dataclass(frozen=True, slots=True)
class Trial:
    """A pod that was to be created as a dry run.

    Attributes:
        road: Which entry has to send it, as a person says it.
    """

    road: str
    namespace: str
    answer: Answer


def judge_trial(trial: Trial) -> Finding:
    """What became of the pod."""
    where = f"{trial.road}, in the namespace {trial.namespace},"
    if trial.answer.status not in _CREATED:
        reason = pods.text(trial.answer.document, "message") or str(trial.answer.status)
        return skipped(_CHECK, f"The API server does not let a pod {where} be created: {reason}")
    if pods.INJECTED_LABEL in pods.labels(trial.answer.document):
        return ok(_CHECK, f"A pod {where} is injected (dry run).")
    return failed(
        _CHECK,
        f"A pod {where} is not injected (dry run), and the API server does not say why.",
        "If every check above is ok, the control plane does not reach the webhook's port: see network rules. "
        "The API server counts it in apiserver_admission_webhook_fail_open_count.",
    )


async def admission(cluster: Cluster) -> list[Finding]:
    """Tries both entries: a pod that says yes itself, and one whose namespace does."""
    await cluster.entries()
    opted_in = await cluster.opted_in()
    trials = [await _tried(cluster, opted_in[0].name if opted_in else cluster.choices.here, said_by_pod=True)]
    if opted_in:
        trials.append(await _tried(cluster, opted_in[0].name, said_by_pod=False))
    return [judge_trial(trial) for trial in trials]


async def _tried(cluster: Cluster, namespace: str, *, said_by_pod: bool) -> Trial:
    answer = await cluster.api(
        "POST",
        f"/api/v1/namespaces/{namespace}/pods",
        query={"dryRun": "All"},
        body=_trial_pod(namespace, {pods.INJECT_LABEL: "enabled"} if said_by_pod else {}),
    )
    return Trial("with a label of its own" if said_by_pod else "without a label of its own", namespace, answer)


def _trial_pod(namespace: str, labels: dict[str, str]) -> Document:
    container = {
        "name": "trial",
        "image": "floe.invalid/never-pulled:1",
        "resources": {"requests": _RESOURCES, "limits": _RESOURCES},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "floe-check-", "namespace": namespace, "labels": labels},
        "spec": {"containers": [container], "restartPolicy": "Never"},
    }
