"""A pod that tries whether the sidecar's image starts, while it is not known to; the leader's duty.

    trouble ──▶ created ──▶ runs: everybody sees it, deleted after a while
                   │ not within a minute, of another image, or older than the trouble
                   └──▶ deleted, and another one created: a new pod is pulled for at once, an old one waits ever longer

It is the sidecar as pods get it, alone, in the release's own namespace, and it meets Pod Security "restricted". Each
has a name of its own: one whose node is lost is being deleted for ever, and must not keep the next one from being
created. Such a one is deleted by force after a while; if that does not help either, there are `MOST_PODS` at most.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from floe_certs.api import RefusedError
from floe_certs.kubernetes import Answer, Request
from floe_webhook import pod as pods
from floe_webhook.announcements import Announcer, Subject, about
from floe_webhook.cluster.api import JSON, KubernetesApi
from floe_webhook.cluster.probe_pods import PROBE_LABELS, ProbePods
from floe_webhook.cluster.sidecar_health import SidecarHealth
from floe_webhook.cluster.sidecar_trouble import Trouble, runs
from floe_webhook.pod import Document
from floe_webhook.profile import SidecarProfile
from floe_webhook.reasons import Reason
from floe_webhook.reload import CurrentProfile
from floe_webhook.sidecar_container import USER_ID, sidecar_container, volumes

SECONDS = 5.0
PATIENCE_SECONDS = 60.0
"""How long a probe pod may take to run."""

KEPT_SECONDS = 60.0
"""How long a probe pod that runs is left, so that every replica sees it."""

DELETION_SECONDS = 60.0
"""How long a probe pod may take to go, before it is deleted by force: its node is lost, and it holds nothing."""

MOST_PODS = 5
"""Probe pods at once; all but one are being deleted."""

_DEADLINE_SECONDS = 600
_OK = range(200, 300)
_DONE_ALREADY = frozenset({404, 409})

_log = structlog.get_logger(__name__)


def probe_pod(sidecar: SidecarProfile, namespace: str, prefix: str) -> dict[str, Any]:
    """The pod: the sidecar alone; the API server completes its name."""
    container: dict[str, Any] = dict(sidecar_container({}, sidecar, sidecar.ports))
    del container["restartPolicy"]  # it is an ordinary container here
    container["readinessProbe"] = {
        "httpGet": {"path": "/healthz", "port": sidecar.ports.health},
        "periodSeconds": 2,
        "timeoutSeconds": 2,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": prefix,
            "namespace": namespace,
            "labels": {pods.INJECT_LABEL: "false"} | PROBE_LABELS,
        },
        "spec": {
            "containers": [container],
            "volumes": [dict(volume) for volume in volumes(sidecar)],
            "imagePullSecrets": [{"name": name} for name in sidecar.image_pull_secrets],
            "restartPolicy": "Never",
            "activeDeadlineSeconds": _DEADLINE_SECONDS,
            "terminationGracePeriodSeconds": 5,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER_ID,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }


class SidecarProbe:
    """Keeps a probe pod while there is trouble, and none otherwise."""

    def __init__(
        self,
        api: KubernetesApi,
        create: Request,
        health: SidecarHealth,
        profile: CurrentProfile,
        announcer: Announcer,
        *,
        probes: ProbePods,
        deployment: str | None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """No pod yet.

        Args:
            api: Deletes pods.
            create: Creates one, with an owner that takes it away on uninstall.
            health: Says whether there is trouble.
            profile: Has the sidecar.
            announcer: Is told of the trouble.
            probes: Where the pods are.
            deployment: What the trouble is announced on; None for nothing.
            sleep: How to wait.
            monotonic: Seconds that a change of the clock does not move.
        """
        self._api = api
        self._create = create
        self._health = health
        self._profile = profile
        self._announcer = announcer
        self._probes = probes
        self._subject = Subject(probes.namespace, "Deployment", deployment, "apps/v1") if deployment else None
        self._sleep = sleep
        self._monotonic = monotonic
        self._is_clean = False  # another leader may have left some
        self._since: dict[tuple[str, str], float] = {}  # by pod and state, when it was seen first

    async def run(self) -> None:
        """Looks after the pods until it is cancelled; what is left is found by the next leader."""
        while True:
            await self.look()
            await self._sleep(SECONDS)

    async def look(self) -> None:
        """Creates and deletes what is due.

        Raises:
            UnreachableError: There is no answer.
            RefusedError: Pods cannot be listed, created or deleted.
        """
        trouble = self._health.trouble
        if trouble is None and self._is_clean:
            return
        found = await self._probes.found()
        self._is_clean = not found
        waits = {(pods.text(probe, "metadata", "uid"), _state(probe, trouble)): probe for probe in found}
        now = self._monotonic()
        self._since = {seen: self._since.get(seen, now) for seen in waits}
        living = [probe for probe in found if not _is_being_deleted(probe)]
        if trouble is not None and not living and len(found) < MOST_PODS:
            await self._begin(trouble)
        newest = max(living, key=lambda probe: pods.text(probe, "metadata", "creationTimestamp"), default=None)
        for (_, state), probe in waits.items():
            waited = now - self._since[pods.text(probe, "metadata", "uid"), state]
            if state == _DELETED:
                if waited >= DELETION_SECONDS:
                    await self._delete(probe, gracePeriodSeconds="0")
            elif probe is not newest or _is_spent(probe, trouble) or waited >= _PATIENCE[state]:
                await self._delete(probe)

    async def _begin(self, trouble: Trouble) -> None:
        if self._subject is not None:
            self._announcer.announce(about(self._subject, Reason.SIDECAR_DOES_NOT_START))
        sidecar = self._profile.profile.sidecar
        if sidecar is None or sidecar.image != trouble.image:
            return
        body = probe_pod(sidecar, self._probes.namespace, self._probes.prefix)
        answer = await self._create("POST", self._probes.path, query={}, body=body, content_type=JSON)
        _accept(answer, "create")
        self._is_clean = False
        _log.info("probing whether the sidecar starts", image=sidecar.image, pod=_name(answer.document))

    async def _delete(self, probe: Document, **query: str) -> None:
        _accept(await self._api("DELETE", f"{self._probes.path}/{_name(probe)}", query=query), "delete")


_DELETED, _RUNS, _WAITS = "being deleted", "runs", "waits"
_PATIENCE = {_RUNS: KEPT_SECONDS, _WAITS: PATIENCE_SECONDS}


def _state(probe: Document, trouble: Trouble | None) -> str:
    if _is_being_deleted(probe):
        return _DELETED
    return _RUNS if trouble is None or runs(probe, trouble.image) else _WAITS


def _is_spent(probe: Document, trouble: Trouble | None) -> bool:
    """Whether it can prove nothing any more."""
    if pods.text(probe, "status", "phase") in ("Failed", "Succeeded"):
        return True
    created = pods.text(probe, "metadata", "creationTimestamp")
    return trouble is not None and (created < trouble.created or _image(probe) != trouble.image)


def _is_being_deleted(probe: Document) -> bool:
    return "deletionTimestamp" in pods.mapping(probe, "metadata")


def _name(probe: Document) -> str:
    return pods.text(probe, "metadata", "name")


def _image(probe: Document) -> str:
    containers = pods.entries(pods.mapping(probe, "spec"), "containers")
    return pods.text(containers[0], "image") if containers else ""


def _accept(answer: Answer, verb: str) -> None:
    """Raises for what the next look will not find done already."""
    if answer.status not in _OK and answer.status not in _DONE_ALREADY:
        raise RefusedError(f"{verb} probe pod: {answer.status} {answer.document.get('reason', '')}".rstrip())
