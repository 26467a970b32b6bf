"""The options that several commands share, and the values that they give."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Which cluster, and which installation in it, as the command line says."""

    kubeconfig: Path | None
    context: str | None
    release: str
    configuration: str | None
    release_namespace: str | None


def manifest_option(*, required: bool, help: str = "The platform manifest.") -> Callable[[Command], Command]:  # noqa: A002 - click's word
    """`--manifest`."""
    return click.option(
        "--manifest",
        "manifest_file",
        required=required,
        type=click.Path(path_type=Path, dir_okay=False),
        help=help,
    )


def output_option(command: Command) -> Command:
    """`-o`, `--output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="For people, or for programs.",
    )(command)


def cluster_options(command: Command) -> Command:
    """The options of `ClusterOptions`, given as one value `cluster`."""

    @click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Which cluster, and with whose rights. Without it: KUBECONFIG, ~/.kube/config, or the pod's own cluster.",
    )
    @click.option("--context", help="A context of the kubeconfig; by default its current one.")
    @click.option(
        "--release",
        default="floe-injector",
        show_default=True,
        help="What the names of the release's objects begin with.",
    )
    @click.option(
        "--webhook-configuration", "configuration", help="Name of the webhook configuration; by default the release's."
    )
    @click.option("--release-namespace", help="Its namespace; by default the one that the webhook configuration names.")
    @wraps(command)
    def with_cluster(
        *args: Any,
        kubeconfig: Path | None,
        context: str | None,
        release: str,
        configuration: str | None,
        release_namespace: str | None,
        **kwargs: Any,
    ) -> Any:
        cluster = ClusterOptions(kubeconfig, context, release, configuration, release_namespace)
        return command(*args, cluster=cluster, **kwargs)

    return with_cluster


def file_option(*, required: bool) -> Callable[[Command], Command]:
    """`-f`, `--filename`."""
    return click.option(
        "-f",
        "--filename",
        required=required,
        type=click.Path(allow_dash=True),
        help="A file of documents, or - for stdin.",
    )


def namespace_label_option(command: Command) -> Command:
    """`--namespace-label`."""
    return click.option(
        "--namespace-label",
        default="enabled",
        show_default=True,
        help="What the namespace's label floe.dev/inject says; a file that you give counts as opted in.",
    )(command)
