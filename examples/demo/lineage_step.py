"""The sidecar's part: dbt runs while the lineage backend is down; when it comes back, every event arrives in order."""

import shutil
import sys
from pathlib import Path
from typing import Any

import httpx
from rich.table import Table
from rich.tree import Tree

from examples.demo import kubelet
from examples.demo.backend import LineageBackend
from examples.demo.narration import Narrator
from examples.demo.processes import Finished, is_listening, run, until
from examples.demo.stage import EXAMPLES, Stage

APPLICATION = "dbt"
SIDECAR = "floe-sidecar"
NODE = {"status.hostIP": "127.0.0.1", "status.podIP": "127.0.0.1", "spec.nodeName": "this-machine"}
SECRETS = {"warehouse": {"password": "a-password-of-the-demo"}}
_MODELS = 3
# What the OpenLineage client's five retries take before it gives an event up.
_REFUSED_EMIT_SECONDS = 9


def prepare_project(stage: Stage) -> Path:
    """A copy of the example's dbt project, so that nothing is written into the checkout."""
    project = stage.folder / "dbt_project"
    shutil.copytree(EXAMPLES / "dbt_project", project, ignore=shutil.ignore_patterns("target", "logs", "*.duckdb"))
    return project


async def dbt(command: list[str], *, stage: Stage, project: Path, environment: dict[str, str]) -> Finished:
    """Runs dbt or dbt-ol in the project; it must succeed."""
    own = {"FLOE_DEMO_DUCKDB": str(stage.warehouse), "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    tools = Path(sys.executable).parent
    return await run(
        [str(tools / command[0]), *command[1:], "--profiles-dir", "."], environment=environment | own, folder=project
    )


def environment_of(pod: dict[str, Any], container: str, stage: Stage) -> dict[str, str]:
    """What the kubelet would give to the container's process, with volumes as folders of the demo."""
    mounts = {
        volume["name"]: str(stage.folder / "volumes" / volume["name"]) for volume in pod["spec"].get("volumes", [])
    }
    for folder in mounts.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    return kubelet.environment(pod, container, node=NODE, mounts=mounts, secrets=SECRETS)


async def status(stage: Stage) -> dict[str, Any]:
    """The sidecar's own account of its events."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{stage.relay_health_port}/status")
    events: dict[str, Any] = answer.raise_for_status().json()["events"]
    return events


async def run_while_backend_is_down(
    narrator: Narrator, *, stage: Stage, project: Path, pod: dict[str, Any], direct: Finished
) -> int:
    """dbt-ol through the relay; gives the number of acked events."""
    narrator.check(not is_listening(stage.backend_port), "the lineage backend is down: nobody listens on its port")
    through = await dbt(
        ["dbt-ol", "run"], stage=stage, project=project, environment=environment_of(pod, APPLICATION, stage)
    )
    narrator.check(
        through.exit_code == 0, f"`dbt-ol run` with the injected environment succeeded: {_last_line(through.output)}"
    )
    times = Table("run", "seconds", box=None, padding=(0, 2))
    times.add_row("direct, lineage backend healthy", f"{direct.seconds:.2f}")
    times.add_row("through the sidecar, lineage backend down", f"{through.seconds:.2f}")
    narrator.show(times)
    counts = await status(stage)
    narrator.check(
        counts["acked"] >= 2 * _MODELS, f"{counts['acked']} events are on the sidecar's disk, {counts['pending']} wait"
    )
    narrator.check(
        through.seconds < direct.seconds + _REFUSED_EMIT_SECONDS * counts["acked"] / 2,
        f"the dead backend did not slow it: a direct run would have waited {_REFUSED_EMIT_SECONDS} s for each of them",
    )
    return int(counts["acked"])


async def watch_delivery(narrator: Narrator, *, stage: Stage, backend: LineageBackend, acked: int) -> None:
    """The backend is up again: everything arrives, in order, once."""

    async def all_arrived() -> bool:
        return len(backend.events) >= acked and (await status(stage))["pending"] == 0

    await until(all_arrived, what="Delivery of all waiting events", seconds=60)
    counts = await status(stage)
    lost = acked - len({_identity(event) for event in backend.events})
    table = Table("acked by the sidecar", "delivered", "arrived", "lost", box=None, padding=(0, 2))
    table.add_row(str(acked), str(counts["delivered"]), str(len(backend.events)), str(lost))
    narrator.show(table)
    narrator.check(lost == 0, "0 events were lost")
    narrator.check(
        backend.runs_out_of_order() == [], "within each run they arrived in order: START first, the end last"
    )
    narrator.show(_graph(backend))
    narrator.check(len(backend.edges()) >= _MODELS, "the lineage graph of the models is known")


def _graph(backend: LineageBackend) -> Tree:
    tree = Tree("[bold]Lineage[/bold]", guide_style="dim")
    for job, (inputs, outputs) in sorted(backend.edges().items()):
        branch = tree.add(f"[cyan]{job}[/cyan]")
        branch.add(f"{', '.join(sorted(inputs)) or '–'} → [bold]{', '.join(sorted(outputs)) or '–'}[/bold]")
    return tree


def _identity(event: dict[str, Any]) -> tuple[str, str, str, str]:
    return (event["run"]["runId"], event["eventType"], event["eventTime"], event["job"]["name"])


def _last_line(output: str) -> str:
    lines = [line for line in output.splitlines() if "PASS=" in line or "Completed" in line]
    return lines[-1].split("  ")[-1].strip() if lines else "done"
