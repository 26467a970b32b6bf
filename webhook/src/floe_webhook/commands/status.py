"""`floe status`: who is injected, namespace by namespace."""

from pathlib import Path

import click

from floe_webhook.commands.options import ClusterOptions, cluster_options, manifest_option, output_option


@click.command()
@cluster_options
@manifest_option(required=False, help="Look for missed pods with this manifest in place of the one in the cluster.")
@click.option("-n", "--namespace", "namespaces", multiple=True, help="Only this namespace; may be given several times.")
@output_option
def status(*, cluster: ClusterOptions, manifest_file: Path | None, namespaces: tuple[str, ...], output: str) -> None:
    """Show the namespaces that carry the label floe.dev/inject, or have injected pods, and their running pods.

    For each: how many pods have environment and sidecar, environment only, or neither although they should; which
    versions injected them, and by which manifests (the identity that a pod's annotation floe.dev/injection has).
    """
    from floe_webhook.commands.states import show, states_of  # noqa: PLC0415 - keeps `floe --help` quick

    show(states_of(cluster, manifest_file, namespaces), output)
