"""Renews the generated pages: `make docs`. A page that is out of date fails a test.

A room adds a page by adding its path and the function that makes its text to `PAGES`.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def requirements_page() -> str:
    """docs/requirements.md, from a collection of all tests."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "requirements.md"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:randomly"]
        collected = subprocess.run(  # noqa: S603 - our own interpreter and arguments
            [*command, f"--write-requirements={target}"], cwd=ROOT, check=False, capture_output=True, text=True
        )
        if not target.exists():
            raise SystemExit(f"The tests cannot be collected:\n{collected.stdout[-4000:]}{collected.stderr[-4000:]}")
        return target.read_text(encoding="utf-8")


def manifest_page() -> str:
    """docs/manifest.md, from the manifest's models."""
    from floe_core.manifest.reference import manifest_page as page  # noqa: PLC0415 - keeps the list of pages quick

    return page()


def annotations_page() -> str:
    """docs/annotations.md, from the webhook's declarations."""
    from floe_webhook.reference import annotations_page as page  # noqa: PLC0415 - keeps the list of pages quick

    return page()


def reasons_page() -> str:
    """docs/reasons.md, from the webhook's enumerations."""
    from floe_webhook.reference import reasons_page as page  # noqa: PLC0415 - keeps the list of pages quick

    return page()


def chart_schema() -> str:
    """charts/floe-injector/values.schema.json, from its source and the manifest's models."""
    from tools.chart import values_schema  # noqa: PLC0415 - keeps the list of pages quick

    return values_schema()


def chart_readme() -> str:
    """charts/floe-injector/README.md, from the values and their schema."""
    from tools.chart import readme  # noqa: PLC0415 - keeps the list of pages quick

    return readme()


def command_page() -> str:
    """docs/command.md, from the commands of every room."""
    from floe_core.cli.reference import command_page as page  # noqa: PLC0415 - keeps the list of pages quick

    return page()


def troubleshooting_page() -> str:
    """docs/troubleshooting.md: written by hand but for its last part, the reasons."""
    from floe_webhook.reference import with_reasons  # noqa: PLC0415 - as above

    return with_reasons((ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8"))


PAGES: list[tuple[str, Callable[[], str]]] = [
    ("charts/floe-injector/values.schema.json", chart_schema),
    ("charts/floe-injector/README.md", chart_readme),  # after the schema, which it reads
    ("docs/annotations.md", annotations_page),
    ("docs/command.md", command_page),
    ("docs/manifest.md", manifest_page),
    ("docs/reasons.md", reasons_page),
    ("docs/requirements.md", requirements_page),
    ("docs/troubleshooting.md", troubleshooting_page),
]


def main() -> None:
    """Writes every page that has changed."""
    for path, text_of in PAGES:
        target, text = ROOT / path, text_of()
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")
            print(f"{path} is renewed")


if __name__ == "__main__":
    main()
