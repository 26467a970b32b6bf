"""`floe inject`, `floe uninject` and `floe explain`: the webhook's own decisions, on files."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from floe_webhook.documents import KubernetesFile, PodInFile
    from floe_webhook.injection import Injection
    from floe_webhook.profile import Profile

Option = Callable[[Callable[..., Any]], Callable[..., Any]]

_manifest: Option = click.option(
    "--manifest",
    "manifest_file",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The platform manifest.",
)
_file: Option = click.option(
    "-f", "--filename", required=True, type=click.Path(allow_dash=True), help="A file of documents, or - for stdin."
)
_namespace_label: Option = click.option(
    "--namespace-label",
    default="enabled",
    show_default=True,
    help="What the namespace's label floe.dev/inject says; a file that you give counts as opted in.",
)


@click.command()
@_manifest
@_file
@_namespace_label
def inject(manifest_file: Path, filename: str, namespace_label: str) -> None:
    """Write the documents with telemetry, lineage and the sidecar added; remarks go to standard error."""
    from floe_webhook.explanation import headline, sentences  # noqa: PLC0415 - keeps `floe --help` quick

    file = _read(filename)
    profile = _profile(manifest_file)
    found = list(file.pods())
    for pod in found:
        injection = _injection(file, pod, profile, namespace_label)
        pod.apply(injection.operations)
        _remark(headline(pod.title, injection.plan.decision))
        for sentence in sentences(injection.plan.decision):
            _remark(f"  {sentence}")
    if not found:
        _remark("There is no pod in these documents; they are written as they are.")
    click.echo(file.text(), nl=False)


@click.command()
@_file
def uninject(filename: str) -> None:
    """Write the documents as they were before `floe inject`; remarks go to standard error."""
    from floe_webhook.removal import record_of, removal  # noqa: PLC0415 - as above

    file = _read(filename)
    for pod in file.pods():
        record = record_of(pod.pod)
        if record is None:
            _remark(f"{pod.title}: carries no record of an injection; left as it is")
            continue
        pod.apply(removal(pod.pod, record, pod.path))
        _remark(f"{pod.title}: restored")
    click.echo(file.text(), nl=False)


@click.command()
@_manifest
@_file
@_namespace_label
def explain(manifest_file: Path, filename: str, namespace_label: str) -> None:
    """Say for each pod what would be decided, why, and what each container would get."""
    from floe_webhook.explanation import explain as account  # noqa: PLC0415 - as above

    file = _read(filename)
    profile = _profile(manifest_file)
    for notice in profile.notices:
        _remark(notice)
    for pod in file.pods():
        injection = _injection(file, pod, profile, namespace_label)
        for line in account(pod.title, injection.plan):
            click.echo(line)


commands = [inject, uninject, explain]


def _read(filename: str) -> "KubernetesFile":
    from floe_core.errors import ConfigurationError  # noqa: PLC0415 - as above
    from floe_webhook.documents import KubernetesFile  # noqa: PLC0415 - as above

    try:
        with click.open_file(filename, encoding="utf-8") as stream:
            return KubernetesFile(stream.read(), name=filename)
    except OSError as error:
        raise ConfigurationError(
            f"The file cannot be read: {error.strerror}.", where=filename, remedy="Check its name, or give - for stdin."
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError("The file is no UTF-8 text.", where=filename, remedy="Save it as UTF-8.") from None


def _profile(manifest_file: Path) -> "Profile":
    from floe_webhook.reload import read_profile  # noqa: PLC0415 - as above

    return read_profile(manifest_file)


def _injection(file: "KubernetesFile", pod: "PodInFile", profile: "Profile", namespace_label: str) -> "Injection":
    from floe_webhook.decision import Facts  # noqa: PLC0415 - as above
    from floe_webhook.injection import inject as decide_and_plan  # noqa: PLC0415 - as above

    return decide_and_plan(
        Facts(pod.pod, pod.namespace, namespace_label or None),
        profile,
        path=pod.path,
        owner=pod.owner,
        known_keys=file.known_keys(),
    )


def _remark(text: str) -> None:
    click.echo(text, err=True)
