"""`floe check`: whether an installation works, or could, and what to do where it does not."""

from pathlib import Path

import click

from floe_webhook.commands.options import ClusterOptions, cluster_options, manifest_option, output_option


@click.command()
@cluster_options
@manifest_option(required=False, help="Check with this manifest in place of the one in the cluster.")
@click.option("-n", "--namespace", "namespaces", multiple=True, help="Only this namespace; may be given several times.")
@click.option("--pre", "before_install", is_flag=True, help="Check what an installation needs, before there is one.")
@click.option(
    "--certificates",
    type=click.Choice(["own", "cert-manager", "secret"]),
    default="own",
    show_default=True,
    help="With --pre: who will make the webhook's certificates.",
)
@click.option(
    "--probe",
    is_flag=True,
    help="Try the backends from the cluster: runs a pod for some seconds in each namespace that opted in.",
)
@output_option
@click.pass_context
def check(
    context: click.Context,
    *,
    cluster: ClusterOptions,
    manifest_file: Path | None,
    namespaces: tuple[str, ...],
    before_install: bool,
    certificates: str,
    probe: bool,
    output: str,
) -> None:
    """Check the installation in a cluster, and say what to do where something is wrong.

    Each check has a name, a result (ok, skipped, warning, failed), a sentence and a remedy; docs/troubleshooting.md has
    a section for each. Nothing is changed: pods are created as dry runs only, but for --probe.

    The exit code is 0 if nothing failed (warnings are told only), 2 if something did.
    """
    from floe_webhook.commands.checking import check_cluster, show  # noqa: PLC0415 - keeps `floe --help` quick

    findings = check_cluster(
        cluster,
        manifest_file=manifest_file,
        namespaces=namespaces,
        before_install=before_install,
        with_cert_manager=certificates == "cert-manager",
        probe=probe,
    )
    context.exit(show(findings, output))
