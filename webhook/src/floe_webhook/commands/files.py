"""`floe inject` and `floe uninject`: the webhook's own decisions, on files."""

from pathlib import Path

import click

from floe_webhook.commands.options import file_option, manifest_option, namespace_label_option


@click.command()
@manifest_option(required=True)
@file_option(required=True)
@namespace_label_option
def inject(manifest_file: Path, filename: str, namespace_label: str) -> None:
    """Write the documents with telemetry, lineage and the sidecar added; remarks go to standard error."""
    from floe_webhook.commands.reading import facts_of, read_documents  # noqa: PLC0415 - keeps `floe --help` quick
    from floe_webhook.explanation import headline, sentences  # noqa: PLC0415 - as above
    from floe_webhook.injection import inject as decide_and_plan  # noqa: PLC0415 - as above
    from floe_webhook.reload import read_profile  # noqa: PLC0415 - as above

    file = read_documents(filename)
    profile = read_profile(manifest_file)
    found = list(file.pods())
    for pod in found:
        injection = decide_and_plan(facts_of(file, pod, namespace_label), profile, path=pod.path)
        pod.apply(injection.operations)
        _remark(headline(pod.title, injection.plan.decision))
        for sentence in sentences(injection.plan.decision):
            _remark(f"  {sentence}")
    if not found:
        _remark("There is no pod in these documents; they are written as they are.")
    click.echo(file.text(), nl=False)


@click.command()
@file_option(required=True)
def uninject(filename: str) -> None:
    """Write the documents as they were before `floe inject`; remarks go to standard error."""
    from floe_webhook.commands.reading import read_documents  # noqa: PLC0415 - as above
    from floe_webhook.record import record_of  # noqa: PLC0415 - as above
    from floe_webhook.removal import removal  # noqa: PLC0415 - as above

    file = read_documents(filename)
    for pod in file.pods():
        record = record_of(pod.pod)
        if record is None:
            _remark(f"{pod.title}: carries no record of an injection; left as it is")
            continue
        pod.apply(removal(pod.pod, record, pod.path))
        _remark(f"{pod.title}: restored")
    click.echo(file.text(), nl=False)


def _remark(text: str) -> None:
    click.echo(text, err=True)
