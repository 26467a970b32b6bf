"""What `floe check` does: runs the checks against a cluster and shows the findings."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from floe_core.cli.output import print_json
from floe_core.cli.progress import progress
from floe_core.errors import EXIT_EXECUTION
from floe_webhook.checks.results import Finding, Verdict, worst
from floe_webhook.checks.running import chosen, run
from floe_webhook.commands.options import ClusterOptions
from floe_webhook.commands.session import opened

_STYLES = {Verdict.OK: "green", Verdict.SKIPPED: "cyan", Verdict.WARNING: "yellow", Verdict.FAILED: "red"}


def check_cluster(
    options: ClusterOptions,
    *,
    manifest_file: Path | None,
    namespaces: tuple[str, ...],
    before_install: bool,
    with_cert_manager: bool,
    probe: bool,
) -> list[Finding]:
    """All findings about a cluster.

    Raises:
        ConfigurationError: There is no way to a cluster.
    """
    looks = chosen(before_install=before_install, with_cert_manager=with_cert_manager, probe=probe)

    async def look() -> list[Finding]:
        async with opened(options, manifest_file=manifest_file, namespaces=namespaces) as cluster:
            with progress() as told:
                return await run(cluster, looks, told)

    return asyncio.run(look())


def show(findings: Sequence[Finding], output: str) -> int:
    """Writes the findings; gives the exit code."""
    verdict = worst(findings)
    if output == "json":
        print_json({"result": verdict, "findings": [finding.as_dict() for finding in findings]})
    else:
        _show_lines(findings)
    return EXIT_EXECUTION if verdict is Verdict.FAILED else 0


def _show_lines(findings: Sequence[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    indent = " " * (10 + width)
    for finding in findings:
        verdict = click.style(f"{finding.verdict:<8}", fg=_STYLES[finding.verdict], bold=True)
        click.echo(f"{verdict}{finding.check:<{width}}  {finding.sentence}")
        if finding.remedy:
            click.echo(f"{indent}what to do: {finding.remedy}")
        if finding.verdict in (Verdict.WARNING, Verdict.FAILED):
            click.echo(f"{indent}see {finding.check.anchor}")
    counted = [(verdict, sum(finding.verdict is verdict for finding in findings)) for verdict in Verdict]
    click.echo(", ".join(f"{count} {verdict}" for verdict, count in counted if count))
