"""The webhook's memory while a cluster fills with injected pods, of which half end.

`python -m tests.benchmarks.many_pods [--pods 5000]`, by hand: it takes some minutes. It starts an API server of its own
and one replica that leads, follows everything and looks everything up; nothing but this program writes pods' states.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.admission import resident_mib
from tests.benchmarks.report import Table
from tests.e2e.admission import RUN_LABEL, Namespace, create_namespace, pod
from tests.e2e.cluster.control_plane import cluster
from tests.e2e.following_installation import Installation, following_installation, patch_status
from tests.e2e.webhook_load import sample
from tests.e2e.webhook_release import NAME, two_namespaces
from webhook.tests.serving.program import Program

NAMESPACES = 50
STEPS = 5
WRITERS = 8
SETTLE_SECONDS = 5.0
_LOOKUPS = ("native-sidecars", "quotas", "env-from", "secrets", "owners")
_RIGHTS = (
    (["resourcequotas", "limitranges", "nodes"], ["list"]),
    (["secrets", "configmaps"], ["get"]),
)


async def measure(pods: int) -> Table:
    """What the webhook's process took, after each fifth of the pods."""
    with tempfile.TemporaryDirectory() as name, cluster(Path(name)) as api_server:
        run, home, _ = two_namespaces(api_server)
        with api_server.client() as kubernetes:
            labels = {RUN_LABEL: run, "floe.dev/inject": "enabled"}
            teams = [create_namespace(kubernetes, labels) for _ in range(NAMESPACES)]
        async with following_installation(api_server, home, teams[0], run, Path(name)) as installation:
            await _may_look_up(installation, home)
            flags = [part for lookup in _LOOKUPS for part in ("--lookup", lookup)]
            async with installation.replica("webhook", *flags) as replica:
                return await _filled(installation, replica, teams, pods)


async def _may_look_up(installation: Installation, home: Namespace) -> None:
    """The rights that lookups need, beside those of following."""
    name = f"{installation.release.configuration}-looking-up"
    wide = "/apis/rbac.authorization.k8s.io/v1"
    rules = [{"apiGroups": [""], "resources": resources, "verbs": verbs} for resources, verbs in _RIGHTS]
    await installation.create(f"{wide}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": home.name}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    binding = {"metadata": {"name": name}, "subjects": [account], "roleRef": reference}
    await installation.create(f"{wide}/clusterrolebindings", binding)


async def _filled(installation: Installation, replica: Program, teams: list[Namespace], pods: int) -> Table:
    process = psutil.Process(replica.process.pid)
    rows = [await _row(installation, replica, process, 0, 0.0)]
    for step in range(STEPS):
        began = time.monotonic()
        made = range(step * pods // STEPS, (step + 1) * pods // STEPS)
        waiting = iter(made)
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(_write(installation, waiting, teams))
        seconds = time.monotonic() - began
        await asyncio.sleep(SETTLE_SECONDS)
        rows.append(await _row(installation, replica, process, made.stop, len(made) / seconds))
    return Table(
        "Memory of a webhook that follows and looks up, while a cluster fills",
        ("pods in the cluster", "pods/s", "injected", "ends told", "resident MiB"),
        tuple(rows),
        (f"{NAMESPACES} namespaces; each pod runs, and every second one ends, half of them with an exit code.",),
    )


async def _write(installation: Installation, waiting: Iterator[int], teams: list[Namespace]) -> None:
    for number in waiting:
        document = pod(teams[number % len(teams)], spec=_spec(number))
        stored = await installation.create_pod(document)
        await patch_status(installation.release.api, stored, {"phase": "Running"})
        if number % 2:
            failed = number % 4 == 1
            phase = "Failed" if failed else "Succeeded"
            await installation.end(stored, phase, {"exitCode": 1 if failed else 0})


def _spec(number: int) -> dict[str, Any]:
    """Of a hundred workloads, each with sources that are looked up."""
    workload = number % 100
    return {
        "containers": [
            {
                "name": "app",
                "image": f"e2e.invalid/app-{workload}:{number}",
                "envFrom": [{"configMapRef": {"name": f"settings-{workload}", "optional": True}}],
            }
        ]
    }


async def _row(
    installation: Installation, replica: Program, process: psutil.Process, pods: int, per_second: float
) -> tuple[str, ...]:
    injected = await sample(replica, "floe_webhook_requests_total", outcome="full")
    ended = len({one.body["run"]["runId"] for one in installation.gateway.received})
    return (str(pods), f"{per_second:.0f}", f"{injected:.0f}", str(ended), f"{resident_mib(process):.1f}")


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.many_pods")
    parser.add_argument("--pods", type=int, default=5_000)
    options = parser.parse_args()
    sys.stdout.write(asyncio.run(measure(options.pods)).markdown() + "\n")


if __name__ == "__main__":
    main()
