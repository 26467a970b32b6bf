"""A pod that tries whether the sidecar's image starts, while it is not known to; the leader's duty.

    trouble ──▶ created ──▶ runs: everybody sees it, deleted after a while
                   │ not within a minute, of another image, or older than the trouble
                   └──▶ deleted, and created anew: a new pod is pulled for at once, an old one waits longer each time

It is the sidecar as pods get it, alone, in the release's own namespace, and it meets Pod Security "restricted".
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

_DEADLINE_SECONDS = 600
_OK = range(200, 300)
_DONE_ALREADY = frozenset({404, 409})

_log = structlog.get_logger(__name__)


def probe_path(namespace: str, name: str) -> str:
    """Where the probe pod is."""
    return f"/api/v1/namespaces/{namespace}/pods/{name}"


def probe_pod(sidecar: SidecarProfile, namespace: str, name: str) -> dict[str, Any]:
    """The pod: the sidecar alone."""
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
            "name": name,
            "namespace": namespace,
            "labels": {pods.INJECT_LABEL: "false", "app.kubernetes.io/component": "sidecar-probe"},
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
    """Keeps a probe pod while there is trouble."""

    def __init__(
        self,
        api: KubernetesApi,
        create: Request,
        health: SidecarHealth,
        profile: CurrentProfile,
        announcer: Announcer,
        *,
        namespace: str,
        name: str,
        deployment: str | None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """No pod yet.

        Args:
            api: Reads and deletes the pod.
            create: Creates it, with an owner that takes it away on uninstall.
            health: Says whether there is trouble.
            profile: Has the sidecar.
            announcer: Is told of the trouble.
            namespace: The release's own.
            name: The pod's.
            deployment: What the trouble is announced on; None for nothing.
            sleep: How to wait.
            monotonic: Seconds that a change of the clock does not move.
        """
        self._api = api
        self._create = create
        self._health = health
        self._profile = profile
        self._announcer = announcer
        self._namespace = namespace
        self._name = name
        self._subject = Subject(namespace, "Deployment", deployment, "apps/v1") if deployment else None
        self._sleep = sleep
        self._monotonic = monotonic
        self._is_gone = False  # another leader may have left one
        self._seen: tuple[str, bool, float] = ("", False, 0.0)

    async def run(self) -> None:
        """Looks after the pod until it is cancelled; a pod that is left is found by the next leader."""
        while True:
            await self.look()
            await self._sleep(SECONDS)

    async def look(self) -> None:
        """Creates or deletes the pod, if either is due.

        Raises:
            UnreachableError: There is no answer.
            RefusedError: The pod cannot be read, created or deleted.
        """
        trouble = self._health.trouble
        if trouble is None and self._is_gone:
            return
        probe = await self._api.read(probe_path(self._namespace, self._name))
        self._is_gone = probe is None
        if probe is not None:
            if self._is_spent(probe, trouble):
                await self._delete()
        elif trouble is not None:
            await self._begin(trouble)

    def _is_spent(self, probe: Document, trouble: Trouble | None) -> bool:
        if "deletionTimestamp" in pods.mapping(probe, "metadata"):
            return False
        uid, created = pods.text(probe, "metadata", "uid"), pods.text(probe, "metadata", "creationTimestamp")
        is_running = trouble is None or runs(probe, trouble.image)
        if self._seen[:2] != (uid, is_running):
            self._seen = (uid, is_running, self._monotonic())
        if trouble is not None and (created < trouble.created or _image(probe) != trouble.image):
            return True
        if pods.text(probe, "status", "phase") in ("Failed", "Succeeded"):
            return True
        return self._monotonic() - self._seen[2] >= (KEPT_SECONDS if is_running else PATIENCE_SECONDS)

    async def _begin(self, trouble: Trouble) -> None:
        if self._subject is not None:
            self._announcer.announce(about(self._subject, Reason.SIDECAR_DOES_NOT_START))
        sidecar = self._profile.profile.sidecar
        if sidecar is None or sidecar.image != trouble.image:
            return
        answer = await self._create(
            "POST",
            f"/api/v1/namespaces/{self._namespace}/pods",
            query={},
            body=probe_pod(sidecar, self._namespace, self._name),
            content_type=JSON,
        )
        _accept(answer, "create")
        _log.info("probing whether the sidecar starts", image=sidecar.image, pod=self._name)

    async def _delete(self) -> None:
        _accept(await self._api("DELETE", probe_path(self._namespace, self._name)), "delete")


def _image(probe: Document) -> str:
    containers = pods.entries(pods.mapping(probe, "spec"), "containers")
    return pods.text(containers[0], "image") if containers else ""


def _accept(answer: Answer, verb: str) -> None:
    """Raises for what the next look will not find done already."""
    if answer.status not in _OK and answer.status not in _DONE_ALREADY:
        raise RefusedError(f"{verb} probe pod: {answer.status} {answer.document.get('reason', '')}".rstrip())
