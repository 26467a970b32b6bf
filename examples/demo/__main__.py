"""Runs the six steps in one folder that goes with them; ends with 0 only if all of it happened."""

import asyncio
import ipaddress
import ssl
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
from rich.console import Console

from examples.demo import admission_step, contract_step, lineage_step
from examples.demo.backend import AlertReceiver, LineageBackend
from examples.demo.narration import Narrator, StepFailedError
from examples.demo.processes import is_listening, service, until
from examples.demo.stage import CONTRACTS, Stage, set_stage
from floe_certs.authority import create_authority, issue_serving_certificate
from floe_core.errors import FloeError
from floe_core.manifest import load_manifest
from floe_core.plugin_interfaces.metadata import PluginKind
from floe_core.plugin_interfaces.registry import PluginRegistry


def read_manifest(narrator: Narrator, stage: Stage) -> None:
    """Step 1."""
    narrator.step(1, "The platform team has chosen its backends in one manifest")
    manifest = load_manifest(stage.manifest)
    narrator.say(f"Platform [bold]{manifest.metadata.name}[/bold], owned by {manifest.metadata.owner}.")
    registry = PluginRegistry()
    choices = {
        PluginKind.TELEMETRY_BACKEND: manifest.plugins.telemetry_backend,
        PluginKind.LINEAGE_BACKEND: manifest.plugins.lineage_backend,
        PluginKind.CATALOG: manifest.plugins.catalog,
        PluginKind.COMPUTE: manifest.plugins.compute,
    }
    for kind, choice in choices.items():
        narrator.check(choice is not None, f"the manifest names a {kind.value.replace('_', ' ')}")
        if choice is not None:
            plugin = registry.create(kind, choice)
            narrator.say(f"  loaded {plugin.name} {plugin.version}: {plugin.description}")


def write_certificates(folder: Path) -> tuple[Path, Path, ssl.SSLContext]:
    """A serving certificate for 127.0.0.1 with its key, and the context that trusts its authority."""
    now = datetime.now(UTC)
    authority = create_authority("floe demo", now=now)
    serving = issue_serving_certificate(
        authority, dns_names=("localhost",), ip_addresses=(ipaddress.ip_address("127.0.0.1"),), now=now
    )
    certificate, key = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(serving.certificate_pem)
    key.touch(mode=0o600)
    key.write_bytes(serving.key_pem)
    return certificate, key, ssl.create_default_context(cadata=authority.certificate_pem.decode())


async def admit_pod(narrator: Narrator, stage: Stage) -> admission_step.Document:
    """Step 2; gives the pod as it is stored."""
    narrator.step(2, "A labelled dbt job is created, the webhook is asked")
    certificate, key, trust = write_certificates(stage.folder)
    command = [sys.executable, "-m", "floe_webhook", "--manifest", str(stage.manifest)]
    command += [
        "--tls-cert",
        str(certificate),
        "--tls-key",
        str(key),
        "--host",
        "127.0.0.1",
        "--port",
        str(stage.webhook_port),
        "--health-port",
        "0",
    ]
    async with service(command, environment={}, folder=stage.folder, log=stage.folder / "webhook.log") as webhook:

        async def ready() -> bool:
            async with httpx.AsyncClient(verify=trust) as client:
                return (
                    await client.get(f"https://127.0.0.1:{stage.webhook_port}/readyz")
                ).status_code == httpx.codes.OK

        await until(ready, what="The webhook being ready", program=webhook)
        pod = admission_step.pod_of_job()
        patched, operations = await admission_step.admit(pod, port=stage.webhook_port, authority=trust)
        admission_step.tell(narrator, pod, patched, operations)
    narrator.check(webhook.exit_code == 0, "the webhook drained and exited with 0")
    return admission_step.stored(patched)


async def relay_lineage(narrator: Narrator, stage: Stage, pod: admission_step.Document) -> None:
    """Steps 3 and 4."""
    narrator.step(3, "dbt runs as the pod says, while the lineage backend is down")
    project = lineage_step.prepare_project(stage)
    await lineage_step.dbt(["dbt", "seed"], stage=stage, project=project, environment={})
    backend = LineageBackend()
    async with backend.serving(stage.backend_port) as origin:
        direct = await lineage_step.dbt(
            ["dbt-ol", "run"], stage=stage, project=project, environment={"OPENLINEAGE_URL": origin}
        )
    backend.events.clear()
    environment = lineage_step.environment_of(pod, lineage_step.SIDECAR, stage)
    command = [sys.executable, "-m", "floe_sidecar"]
    log = stage.folder / "sidecar.log"
    async with service(command, environment=environment, folder=stage.folder, log=log) as sidecar:

        async def ready() -> bool:
            return bool(await lineage_step.status(stage))

        await until(ready, what="The sidecar being ready", program=sidecar)
        acked = await lineage_step.run_while_backend_is_down(
            narrator, stage=stage, project=project, pod=pod, direct=direct
        )
        narrator.step(4, "The lineage backend comes back")
        async with backend.serving(stage.backend_port):
            await lineage_step.watch_delivery(narrator, stage=stage, backend=backend, acked=acked)
            exit_code = await sidecar.stop()
    narrator.check(exit_code == 0, "the sidecar ended with 0 on SIGTERM, so a Job would complete")


async def monitor_contract(narrator: Narrator, stage: Stage) -> None:
    """Step 5."""
    narrator.step(5, "A contract over the table that dbt built is watched")
    receiver = AlertReceiver()
    command = [sys.executable, "-m", "floe_monitor", "--manifest", str(stage.manifest), "--contracts", str(CONTRACTS)]
    command += ["--data-dir", str(stage.folder / "monitor"), "--host", "127.0.0.1", "--port", str(stage.monitor_port)]
    async with receiver.serving(stage.alerts_port):
        log = stage.folder / "monitor.log"
        async with service(command, environment={}, folder=stage.folder, log=log) as monitor:
            await contract_step.watch(narrator, stage=stage, monitor=monitor, receiver=receiver)
            exit_code = await monitor.stop()
    narrator.check(exit_code == 0, "the monitor and its database stopped cleanly")


def nothing_stays(narrator: Narrator, stage: Stage) -> None:
    """Step 6."""
    narrator.step(6, "Everything stops, nothing stays behind")
    children = psutil.Process().children(recursive=True)
    narrator.check(not children, "no process of ours runs any more")
    narrator.check(not [port for port in stage.ports if is_listening(port)], "no port of ours is open any more")


async def perform(narrator: Narrator) -> None:
    """All steps in their order."""
    with tempfile.TemporaryDirectory(prefix="floe-demo-") as folder:
        stage = set_stage(Path(folder))
        read_manifest(narrator, stage)
        pod = await admit_pod(narrator, stage)
        await relay_lineage(narrator, stage, pod)
        await monitor_contract(narrator, stage)
        nothing_stays(narrator, stage)


def main() -> int:
    """The demo's exit code."""
    console = Console(highlight=False)
    narrator = Narrator(console)
    console.print("[bold]floe-injector[/bold]: one labelled pod, one lineage event, one contract, on real parts.")
    try:
        asyncio.run(perform(narrator))
    except (StepFailedError, FloeError, httpx.HTTPError) as error:
        console.print(f"   [red]✗ {type(error).__name__}:[/red] {error}", markup=True)
        return 1
    console.print()
    console.print(
        f"[bold green]All {narrator.checks} checks held[/bold green], in {narrator.seconds:.0f} s. What to try next:"
    )
    for command in (
        "floe explain --manifest examples/manifest.yaml -f examples/pods/dbt-job.yaml",
        "floe inject --manifest examples/manifest.yaml -f examples/pods/dbt-job.yaml",
        "floe plugins list",
    ):
        console.print(f"   .venv/bin/{command}", soft_wrap=True)
    console.print("   README.md, docs/injection.md, docs/monitoring.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
