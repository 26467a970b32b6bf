"""`floe explain`: why a pod is injected or not, and where each variable comes from."""

from pathlib import Path

import click

from floe_webhook.commands.options import (
    ClusterOptions,
    cluster_options,
    file_option,
    manifest_option,
    namespace_label_option,
)


@click.command()
@click.argument("pod", required=False)
@file_option(required=False)
@click.option("-n", "--namespace", help="The pod's namespace; by default the one that the kubeconfig names.")
@manifest_option(required=False, help="The platform manifest; by default the one in the cluster, if a POD is given.")
@namespace_label_option
@cluster_options
def explain(
    *,
    pod: str | None,
    filename: str | None,
    namespace: str | None,
    manifest_file: Path | None,
    namespace_label: str,
    cluster: ClusterOptions,
) -> None:
    """Say why a pod is injected or not, what each container gets, and from which entry of the manifest it comes.

    POD is a pod of the cluster, as NAME or pod/NAME: what was decided when it was created, and what would be decided
    now. With -f FILE nothing is asked of a cluster: what would be decided for each pod in the file.

    docs/reasons.md has every reason in brackets.
    """
    if (pod is None) == (filename is None):
        raise click.UsageError("Give either a pod, e.g. `floe explain pod/NAME -n NAMESPACE`, or -f FILE.")
    if filename is not None and manifest_file is None:
        raise click.UsageError("-f FILE needs --manifest FILE: a file knows no cluster.")
    from floe_webhook.commands.explaining import explain_file, explain_pod  # noqa: PLC0415 - keeps `floe --help` quick

    if filename is not None and manifest_file is not None:
        explain_file(filename, manifest_file, namespace_label)
    elif pod is not None:
        explain_pod(pod, namespace, cluster, manifest_file)
