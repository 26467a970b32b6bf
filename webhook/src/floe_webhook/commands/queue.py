"""`floe queue`: what a sidecar or the gateway holds, from outside."""

from pathlib import Path

import click

from floe_webhook.commands.options import ClusterOptions, cluster_options

VERBS = ("list", "show", "export", "replay", "purge")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("pod")
@click.argument("verb", type=click.Choice(VERBS))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("-n", "--namespace", help="The pod's namespace; by default the one that the kubeconfig names.")
@click.option("--container", help="The relay's container; by default the sidecar, or in a gateway's pod the gateway.")
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    help="For export: a new file on this machine instead of standard output.",
)
@cluster_options
def queue(
    *,
    pod: str,
    verb: str,
    arguments: tuple[str, ...],
    namespace: str | None,
    container: str | None,
    target: Path | None,
    cluster: ClusterOptions,
) -> None:
    """List, show, export, send again or delete what a pod's relay holds: dead letters, with --queue what waits.

    POD is NAME or pod/NAME, a sidecar's pod or the gateway's. `python -m floe_sidecar.queue VERB` is run in the relay's
    container, which needs the right to create pods/exec, with its own arguments: `list [--json] [--limit N]`, `show
    SEQUENCE`, `export [--dry-run]`, `replay [--dry-run]`, `purge [--dry-run]`. The last two need a condition or --all.

    Conditions: --sequence N, --run ID, --reason REASON; --telemetry for export requests. Exit codes: 0 done, 1 it could
    not be done, 2 the command line is wrong, 3 nothing that was meant is there.
    """
    from floe_webhook.commands.queueing import Asked, run_in_pod  # noqa: PLC0415 - keeps `floe --help` quick

    if target is not None and verb != "export":
        raise click.UsageError("--to belongs to export.")
    raise SystemExit(run_in_pod(Asked(pod, (verb, *arguments), namespace, container), target, cluster))
